#!/usr/bin/env bash
# Runs real, unmodified client packages of each dialect against the built server. Usage: tests/run_clients.sh [build folder]
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/python.sh
source scripts/python.sh
build=${1:-build/release}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/hearth
work=$(mktemp -d)
server=

finish() {
    if [[ -n $server ]] && kill -0 "$server" 2>/dev/null; then kill -KILL "$server"; fi
    rm -rf "$work"
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

start_server() {
    local kind
    for kind in text fim thinking vision embedder; do
        "$build/hearth_make_gguf" "$kind" "$work/models" >/dev/null
    done
    # Only these and the default model: what else is on this machine must not decide a test.
    HEARTH_MODELS__OLLAMA_STORE=false HEARTH_MODELS__HUB_CACHE=false \
        HEARTH_MODELS__DIRECTORIES=$work/models HEARTH_LLAMA__PARALLEL=4 \
        "$build/hearth" serve --listen 127.0.0.1:0 --data-dir "$work/data" >"$work/ready" 2>"$work/log" &
    server=$!
    for _ in $(seq 600); do
        if grep -q '^ready ' "$work/ready"; then
            base=$(sed -n 's/^ready //p' "$work/ready" | head -n 1)
            return
        fi
        kill -0 "$server" 2>/dev/null || break
        sleep 0.05
    done
    echo "the server did not become ready:" >&2
    tail -n 20 "$work/log" >&2
    exit 1
}

stop_server() {
    kill -TERM "$server"
    for _ in $(seq 600); do
        kill -0 "$server" 2>/dev/null || break
        sleep 0.05
    done
    local status=0
    if kill -0 "$server" 2>/dev/null; then status=1; else wait "$server" || status=$?; fi
    server=
    if [[ $status -ne 0 ]]; then
        echo "FAIL the server did not stop cleanly (status $status)"
        failed=$((failed + 1))
    else
        passed=$((passed + 1))
    fi
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

passed=0
failed=0
python=$(python_environment client tests/clients/requirements.txt)
node=$(node_client)
# Node finds packages from the script's own folder upward.
cp tests/clients/*.mjs "$node"
start_server
export HEARTH_CLIENT_MODELS=$work/models
run_client "$python" tests/clients/openai_client.py
run_client "$python" tests/clients/ollama_client.py
run_client "$python" tests/clients/dialects.py
run_client "$python" tests/clients/openai_text.py
run_client "$python" tests/clients/ollama_text.py
run_client node "$node/openai_client.mjs"
run_client node "$node/ollama_client.mjs"
run_client node "$node/openai_text.mjs"
run_client node "$node/ollama_text.mjs"
stop_server
echo "$passed passed, $failed failed"
[[ $failed -eq 0 ]]
