#!/usr/bin/env bash
# Text generation: Hearth as shipped beside llama-server itself, at the best flags found and at its defaults, on the
# same GGUF with the same requests, in interleaved rounds. Prints a table and writes build/bench/generation.json.
#
#   HEARTH_BENCH_ROUNDS   rounds (default 3)
#   HEARTH_BENCH_STREAMS  numbers of streams (default "1 8 32")
#   HEARTH_BENCH_TINY=1   a tiny model and one short round without tuning, so that the bench cannot rot
#
# The model has the shape of Qwen2.5-Coder-0.5B and random weights: its words mean nothing, its speed is the real one's.
# Each request has a prompt of its own of about 100 tokens and generates the same number of tokens.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh
# shellcheck source=bench/lib.sh
source bench/lib.sh

rounds=${HEARTH_BENCH_ROUNDS:-3}
read -r -a streams <<<"${HEARTH_BENCH_STREAMS:-1 8 32}"
tokens=64
cache=${XDG_CACHE_HOME:-$HOME/.cache}/hearth/bench
if [[ -n $tiny ]]; then
    rounds=1
    streams=(1 4)
    tokens=8
fi

# Sets model (its file) and name (Hearth's for it).
make_model() {
    mkdir -p "$work/models"
    if [[ -n $tiny ]]; then
        model=$("$build/hearth_make_gguf" text "$work/models")
        name="tiny-text"
        return
    fi
    model=$cache/coder-0.5b-q4_k_m.gguf
    name=coder-0.5b
    if [[ ! -f $model ]]; then
        step "making a model of the shape of Qwen2.5-Coder-0.5B (once)"
        mkdir -p "$cache"
        "$build/hearth_make_gguf" coder-0.5b "$work/coder-f16.gguf" >/dev/null
        "$HEARTH_PREFIX/bin/llama-quantize" "$work/coder-f16.gguf" "$cache/part.gguf" Q4_K_M >"$work/quantize.log" 2>&1 ||
            { log_tail "$work/quantize.log"; die "the model could not be quantised"; }
        mv "$cache/part.gguf" "$model"
        rm "$work/coder-f16.gguf"
    fi
    ln -s "$model" "$work/models/$name-q4_k_m.gguf"
}

# Chat bodies with different prompts, so that no answer can use another's work: pieces of our own code.
make_bodies() {
    local file
    while read -r file; do
        head -c 360 "$file" | jq -Rs --arg model "$name" --argjson tokens "$tokens" --arg file "$file" '{
            $model, messages: [{role: "user", content: ("Explain " + $file + ":\n" + .)}], stream: true,
            max_tokens: $tokens, temperature: 0, ignore_eos: true, cache_prompt: false}' -c
    done < <(find src -name '*.cc' | sort | head -n 64) >"$work/bodies.jsonl"
}

# load LABEL STREAMS: one measurement of the server that runs now: each stream answers twice.
load() {
    local count=$((2 * $2))
    ((count <= 64)) || count=64
    head -n "$count" "$work/bodies.jsonl" >"$work/part.jsonl"
    "$build/hearth-load" --address "$server_address" --pid "$server_pid" --path /v1/chat/completions --stream \
        --bodies "$work/part.jsonl" --tokens "$tokens" --concurrency "$2" --label "$1-c$2" \
        --record "${3:-$work/measurements}"
}

# start_llama FLAGS...: sets server_pid and server_address.
start_llama() {
    local port
    port=$(free_port)
    start_process llama "$HEARTH_PREFIX/bin/llama-server" --model "$model" --host 127.0.0.1 --port "$port" --alias "$name" \
        --offline --no-ui "$@"
    server_address=127.0.0.1:$port
    until_true 120 answers "$server_address/health" || fail_with_log llama
}

start_ours() {
    start_hearth hearth "HEARTH_MODELS__DIRECTORIES=$work/models" HEARTH_MODELS__OLLAMA_STORE=false \
        HEARTH_MODELS__HUB_CACHE=false "HEARTH_LLAMA__PARALLEL=${HEARTH_BENCH_PARALLEL:-16}"
    # Loaded, as the peers are.
    curl --silent --fail --max-time 120 --output /dev/null "http://$server_address/api/generate" \
        --data "{\"model\":\"$name\",\"stream\":false}" || fail_with_log hearth
}

# The best of the settings tried at the largest number of streams.
tune_llama() {
    local best=0 rate parallel micro most=${streams[-1]}
    best_flags=(--parallel 32 --kv-unified --ctx-size 32768 --ubatch-size 512)
    [[ -z $tiny ]] || return 0
    for parallel in 16 32; do
        for micro in 512 2048; do
            start_llama --threads "$(nproc)" --parallel "$parallel" --kv-unified --ctx-size 32768 --ubatch-size "$micro"
            rate=$(load tune "$most" /dev/null | sed -n 's/.*tokens_per_s\t//p')
            say "   llama-server -np $parallel -ub $micro: $rate tokens/s"
            stop_process "$server_pid"
            if awk "BEGIN { exit !($rate > $best) }"; then
                best=$rate
                best_flags=(--parallel "$parallel" --kv-unified --ctx-size 32768 --ubatch-size "$micro")
            fi
        done
    done
}

measure_round() {
    local count
    start_ours
    for count in "${streams[@]}"; do load hearth "$count" >/dev/null; done
    stop_process "$server_pid"
    start_llama --threads "$(nproc)" "${best_flags[@]}"
    for count in "${streams[@]}"; do load best "$count" >/dev/null; done
    stop_process "$server_pid"
    start_llama
    for count in "${streams[@]}"; do load defaults "$count" >/dev/null; done
    stop_process "$server_pid"
    # As Ollama starts it: one answer at a time.
    start_llama --parallel 1 --ctx-size 4096
    for count in "${streams[@]}"; do load one "$count" >/dev/null; done
    stop_process "$server_pid"
}

write_cases() {
    local count metric
    for count in "${streams[@]}"; do
        echo "$count streams | tokens/s | hearth-c$count.tokens_per_s | llama-server ${best_flags[*]} | best-c$count.tokens_per_s | 0.98"
        echo "$count streams | tokens/s | hearth-c$count.tokens_per_s | llama-server, its defaults | defaults-c$count.tokens_per_s |"
        echo "$count streams | tokens/s | hearth-c$count.tokens_per_s | llama-server as Ollama starts it | one-c$count.tokens_per_s |"
        for metric in ttft_p50_ms ttft_p95_ms tpot_p50_ms tpot_p95_ms; do
            echo "$count streams | ms ${metric%_ms} | hearth-c$count.$metric | llama-server, best flags | best-c$count.$metric |"
        done
    done
}

make_model
make_bodies
tune_llama
for ((round = 1; round <= rounds; ++round)); do
    step "round $round of $rounds"
    measure_round
done
write_cases >"$work/cases"
report generation --note "load and server share $(nproc) cores; $tokens tokens per answer, prompts of about 100"
