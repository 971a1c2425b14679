#!/usr/bin/env bash
# Holds the built server against docs/openapi.yaml with schemathesis: data that fits the document and data that does
# not, for every operation. Usage: tests/run_schemathesis.sh [build folder] [schemathesis argument ...]
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/python.sh
source scripts/python.sh
# shellcheck source=scripts/serving.sh
source scripts/serving.sh
build=${1:-build/release}
shift $(($# > 0))
work=$(mktemp -d)
trap finish_servers EXIT

python=$(python_environment schemathesis tests/schemathesis/requirements.txt)
make_models text fim embedder reranker
# A name of any registry may be pulled; none of them is asked.
export https_proxy=http://127.0.0.1:1 no_proxy=127.0.0.1
printf "defaults:\n  tiny-text: [max_tokens=8]\n  tiny-fim: [max_tokens=8]\n" >"$work/config.yaml"
HEARTH_MODELS__DIRECTORIES=$work/models HEARTH_LLAMA__PARALLEL=4 \
    start_server gateway --config "$work/config.yaml"
unset https_proxy no_proxy
export HEARTH_SCHEMATHESIS_WEIGHTS=$work/models/tiny-text-q8_0.gguf
export PYTHONPATH=$PWD/tests/schemathesis PYTHONDONTWRITEBYTECODE=1
status=0
timeout 400 "$python" -m schemathesis.cli --config-file tests/schemathesis/schemathesis.toml \
    run docs/openapi.yaml --url "$base" "$@" || status=$?
stop_server gateway || status=1
exit "$status"
