#!/usr/bin/env bash
# Runs llama.cpp's own server tests, as they are, against the built server. Usage: tests/run_conformance.sh [build
# folder] [pytest argument ...]; HEARTH_CONFORMANCE=open runs only what is known not to pass yet.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/python.sh
source scripts/python.sh
build=$(realpath "${1:-build/release}")
shift $(($# > 0))
here=$PWD/tests/conformance
llama=${HEARTH_PREFIX:-$HOME/.cache/hearth/prefix}/share/llama.cpp
work=$(mktemp -d)
tests=

finish() {
    if [[ -n $tests ]]; then kill -KILL -- "-$tests" 2>/dev/null || true; fi
    rm -rf "$work"
}
trap finish EXIT

give_up() {
    echo "$1" >&2
    echo "0 passed, 1 failed"
    exit 1
}
[[ -d $llama/tools/server/tests ]] || give_up "llama.cpp's tests are not under $llama; ./dev setup puts them there"
[[ -x $build/hearth && -x $build/hearth_make_gguf ]] || give_up "$build has no hearth and no hearth_make_gguf"

# The tests write beside themselves and look for templates above: they run in a copy.
copy_tests() {
    mkdir -p "$work/llama/tools/server" "$work/scratch"
    cp -r "$llama/tools/server/tests" "$work/llama/tools/server/tests"
    ln -s "$llama/models" "$work/llama/models"
}

python=$(python_environment conformance tests/conformance/requirements.txt)
copy_tests
export LLAMA_SERVER_BIN_PATH=$here/llama_server PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1
export HEARTH_CONFORMANCE_PROGRAMS=$build HEARTH_CONFORMANCE_SCRATCH=$work/scratch
export HEARTH_CONFORMANCE_TALLY=$work/tally.txt
report=(--tb short)
if [[ ${HEARTH_CONFORMANCE:-} == open ]]; then report=(--tb line --show-capture no); fi
set -m # a process group of its own, which finish ends
(
    cd "$work/llama/tools/server/tests"
    exec timeout --kill-after=10 300 \
        "$python" -m pytest -p against_hearth -p no:cacheprovider --basetemp "$work/pytest" --timeout 60 \
        -n 2 --dist worksteal --quiet "${report[@]}" "$@"
) &
tests=$!
set +m
status=0
wait "$tests" || status=$?
# 0 and 1 are pytest's own for all and not all; what ended otherwise has counted nothing.
if ((status > 1)); then echo "0 passed, 1 failed" >"$work/tally.txt"; fi
cat "$work/tally.txt"
grep -q ' 0 failed$' "$work/tally.txt"
