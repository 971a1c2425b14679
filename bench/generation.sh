#!/usr/bin/env bash
# Text generation: Hearth as shipped beside llama-server itself, at the best flags found and at its defaults, on the
# same GGUF with the same requests. All servers run at once and are asked in turn, a measurement of each right after the
# other, in an order that is turned round every time. Of two equal servers one is 5 % quicker than the other in one pair
# and slower in the next, on a shared machine, be a measurement of one answer or of four: many short pairs tell more
# than few long ones. Hearth's own llama-server is asked directly too: what differs there is the gateway alone. What has
# no bar is measured in the first round only. Prints a table and writes build/bench/generation.json.
#
#   HEARTH_BENCH_ROUNDS   rounds (default 10)
#   HEARTH_BENCH_STREAMS  numbers of streams (default "1 8 32")
#   HEARTH_BENCH_TINY=1   a tiny model and one short round without tuning, so that the bench cannot rot
#
# The model has the shape of Qwen2.5-Coder-0.5B and random weights: its words mean nothing, its speed is the real one's.
# Each request has a prompt of its own of about 50 tokens; the answers are of different lengths, since with equal ones
# all would begin and end together, and a measurement would tell how the first of them happened to meet. Two cores
# compute some 30 to 70 of its tokens per second: a round takes two minutes, the first one five, and the search for the
# best flags before it four.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh
# shellcheck source=bench/lib.sh
source bench/lib.sh

rounds=${HEARTH_BENCH_ROUNDS:-10}
read -r -a streams <<<"${HEARTH_BENCH_STREAMS:-1 8 32}"
tokens=48  # on the average
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
    local file length=0
    while read -r file; do
        length=$(((length + 3) % 8))
        head -c 100 "$file" | jq -Rs --arg model "$name" --argjson tokens $((tokens * (9 + 2 * length) / 16)) \
            --arg file "$file" '{
            $model, messages: [{role: "user", content: ("Explain " + $file + ":\n" + .)}], stream: true,
            max_tokens: $tokens, temperature: 0, ignore_eos: true, cache_prompt: false}' -c
    done < <(find src -name '*.cc' | sort | head -n 64) >"$work/bodies.jsonl"
}

# load LABEL STREAMS: one measurement of that server, an answer on each stream.
load() {
    head -n "$2" "$work/bodies.jsonl" >"$work/part.jsonl"
    "$build/hearth-load" --address "${addresses[$1]}" --pid "${pids[$1]}" --path /v1/chat/completions --stream \
        --bodies "$work/part.jsonl" --concurrency "$2" --label "$1-c$2" \
        --record "${3:-$work/measurements}"
}

declare -A addresses pids

# start_llama LABEL FLAGS...
start_llama() {
    local label=$1 port
    port=$(free_port)
    start_process "$label" "$HEARTH_PREFIX/bin/llama-server" --model "$model" --host 127.0.0.1 --port "$port" \
        --alias "$name" --offline --no-ui "${@:2}"
    addresses[$label]=127.0.0.1:$port
    pids[$label]=$server_pid
    until_true 120 answers "127.0.0.1:$port/health" || fail_with_log "$label"
}

start_ours() {
    start_hearth hearth "HEARTH_MODELS__DIRECTORIES=$work/models" HEARTH_CACHE__MEMORY_MIB=0 HEARTH_MODELS__OLLAMA_STORE=false \
        HEARTH_MODELS__HUB_CACHE=false HEARTH_LLAMA__KEEP_ALIVE=2h
    addresses[hearth]=$server_address
    pids[hearth]=$server_pid
    # Loaded, as the peers are.
    curl --silent --fail --max-time 120 --output /dev/null "http://$server_address/api/generate" \
        --data "{\"model\":\"$name\",\"stream\":false}" || fail_with_log hearth
    pids[worker]=$(pgrep --parent "$server_pid" --full llama-server)
    addresses[worker]=unix:$(tr '\0' '\n' <"/proc/${pids[worker]}/cmdline" | grep --after-context=1 --line-regexp -e --host | tail -n 1)
}

# try_flags PARALLEL MICRO: keeps them where nothing before was quicker at the largest number of streams.
try_flags() {
    local rate flags=(--parallel "$1" --kv-unified --ctx-size 32768 --ubatch-size "$2")
    start_llama tune --threads "$(nproc)" "${flags[@]}"
    rate=$(load tune "${streams[-1]}" /dev/null | sed -n 's/.*tokens_per_s\t//p')
    say "   llama-server -np $1 -ub $2: $rate tokens/s"
    stop_process "$server_pid"
    if awk "BEGIN { exit !($rate > $best_rate) }"; then
        best_rate=$rate
        best_parallel=$1
        best_flags=("${flags[@]}")
    fi
}

tune_llama() {
    local parallel
    best_rate=0 best_parallel=0
    best_flags=(--parallel 32 --kv-unified --ctx-size 32768 --ubatch-size 512)
    [[ -z $tiny ]] || return 0
    for parallel in 8 16 32; do try_flags "$parallel" 2048; done
    try_flags "$best_parallel" 512
}

start_all() {
    start_ours
    start_llama best --threads "$(nproc)" "${best_flags[@]}"
    start_llama defaults
    # As Ollama starts it: one answer at a time.
    start_llama one --parallel 1 --ctx-size 4096
}

# pairs_of STREAMS: of one round. A measurement at one stream is short, and as noisy as a long one.
pairs_of() {
    case $1 in
        1) echo 8 ;;
        8) echo 3 ;;
        *) echo 1 ;;
    esac
}

measure_round() {
    local count pair label
    for count in "${streams[@]}"; do
        for ((pair = 1; pair <= $(pairs_of "$count"); ++pair)); do
            local order=(best hearth)
            (((pair + $1) % 2)) || order=(hearth best)
            (($1 > 1)) || order+=(worker defaults one)
            for label in "${order[@]}"; do load "$label" "$count" >/dev/null; done
        done
    done
}

write_cases() {
    local count metric
    for count in "${streams[@]}"; do
        echo "$count streams | tokens/s | hearth-c$count.tokens_per_s | llama-server ${best_flags[*]} | best-c$count.tokens_per_s | 0.98"
        echo "$count streams | tokens/s | hearth-c$count.tokens_per_s | the same llama-server, asked directly | worker-c$count.tokens_per_s |"
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
start_all
for ((round = 1; round <= rounds; ++round)); do
    step "round $round of $rounds"
    measure_round "$round"
done
write_cases >"$work/cases"
report generation --note "load and server share $(nproc) cores; $tokens tokens per answer, prompts of about 50"
