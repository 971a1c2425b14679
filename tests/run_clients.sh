#!/usr/bin/env bash
# Runs real, unmodified client packages of each dialect against the built server: with models of its own, in front of
# servers elsewhere that are Hearth too, and in front of one that says what a script has. Usage: tests/run_clients.sh
# [build folder]
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/python.sh
source scripts/python.sh
# shellcheck source=scripts/serving.sh
source scripts/serving.sh
build=${1:-build/release}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/hearth
work=$(mktemp -d)
scripted=

finish() {
    if [[ -n $scripted ]]; then
        kill -KILL "$scripted" 2>/dev/null || true
        wait "$scripted" 2>/dev/null || true # or the shell tells of the kill
    fi
    finish_servers
}
trap finish EXIT

# Kept under the hash of what pins it.
node_client() {
    local key folder
    key=$(cat tests/clients/package.json tests/clients/package-lock.json | sha256sum | cut -c1-16)
    folder=$cache/client-node-$key
    if [[ ! -e $folder/complete ]]; then
        # As in python_environment, nothing after what fails.
        rm -rf "$folder" &&
            mkdir -p "$folder" &&
            cp tests/clients/package.json tests/clients/package-lock.json "$folder" &&
            (cd "$folder" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2) &&
            touch "$folder/complete" || return 1
    fi
    echo "$folder"
}

# Node finds packages from the script's own folder upward: a folder of this run, so that two runs do not meet.
node_scripts() {
    mkdir "$work/node"
    cp tests/clients/*.mjs "$work/node"
    ln -s "$1/node_modules" "$work/node/node_modules"
}

# Its address is in $work/scripted.
start_scripted() {
    "$python" tests/clients/scripted_upstream.py "$work/scripted" 2>"$work/scripted.log" &
    scripted=$!
    for _ in $(seq 600); do
        if [[ -e $work/scripted ]]; then return; fi
        sleep 0.05
    done
    echo "the scripted server did not start:" >&2
    tail -n 20 "$work/scripted.log" >&2
    return 1
}

# elsewhere NAME [ENTRY ...]: a gateway without models. An entry is "NAME KIND URL".
elsewhere() {
    local name=$1 entry backend kind url
    shift
    echo "backends:" >"$work/$name.yaml"
    for entry in "$@"; do
        read -r backend kind url <<<"$entry"
        printf '  %s:\n    kind: %s\n    url: %s\n' "$backend" "$kind" "$url" >>"$work/$name.yaml"
    done
    HEARTH_MODELS__INSTALLED=false start_server "$name" --config "$work/$name.yaml"
}

run_client() {
    local output
    output=$(timeout 300 "$@" "$base" 2>&1) || true
    grep -v '^RESULT ' <<<"$output" || true
    local ok=0 bad=1
    read -r _ ok bad < <(grep '^RESULT ' <<<"$output" || echo "RESULT 0 1") || true
    passed=$((passed + ok))
    failed=$((failed + bad))
}
run_clients() {
    local name
    for name in "$@"; do
        case $name in
            *.mjs) run_client node "$work/node/$name" ;;
            *) run_client "$python" "tests/clients/$name" ;;
        esac
    done
}
stop() {
    local name
    for name in "$@"; do
        if stop_server "$name"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
    done
}

passed=0
failed=0
python=$(python_environment client tests/clients/requirements.txt)
frameworks=$(python_environment frameworks tests/clients/frameworks/requirements.txt)
node_scripts "$(node_client)"
make_models text fim thinking vision embedder
HEARTH_MODELS__DIRECTORIES=$work/models HEARTH_LLAMA__PARALLEL=4 start_server here
here=$base
export HEARTH_CLIENT_MODELS=$work/models PYTHONDONTWRITEBYTECODE=1
run_clients openai_client.py ollama_client.py dialects.py openai_text.py openai_responses.py ollama_text.py \
    anthropic_client.py openai_client.mjs ollama_client.mjs openai_text.mjs openai_responses.mjs ollama_text.mjs \
    anthropic_client.mjs
run_client "$frameworks" tests/clients/langchain_client.py
run_client "$frameworks" tests/clients/llamaindex_client.py

# Hearth behind Hearth, through the words of each kind of server.
texts=(openai_text.py openai_responses.py ollama_text.py anthropic_client.py)
vectors=(openai_client.py ollama_client.py)
for kind in openai ollama anthropic; do
    elsewhere "$kind" "far $kind $here"
    export HEARTH_CLIENT_ELSEWHERE=$kind
    run_clients "${texts[@]}"
    if [[ $kind != anthropic ]]; then run_clients "${vectors[@]}"; fi
    if [[ $kind == openai ]]; then run_clients openai_text.mjs openai_responses.mjs ollama_text.mjs anthropic_client.mjs; fi
    if [[ $kind == ollama ]]; then
        run_client "$frameworks" tests/clients/langchain_client.py
        run_client "$frameworks" tests/clients/llamaindex_client.py
    fi
    unset HEARTH_CLIENT_ELSEWHERE
    stop "$kind"
done
stop here

# What is said must arrive as it was said.
start_scripted
url=$(cat "$work/scripted")
entries=()
for kind in openai ollama anthropic; do
    entries+=("$kind $kind $url" "$kind-limits $kind $url" "$kind-breaks $kind $url")
done
elsewhere scripts "${entries[@]}"
HEARTH_SCRIPTED_UPSTREAM=$url run_clients exact.py
stop scripts

echo "$passed passed, $failed failed"
[[ $failed -eq 0 ]]
