#!/usr/bin/env bash
# Embeddings of real code: Hearth beside sentence-transformers, ONNX Runtime and llama-server, in one run on
# the same texts, in interleaved rounds. Prints a table and writes build/bench/encoder.json.
#
#   HEARTH_BENCH_ROUNDS   rounds (default 5)
#   HEARTH_BENCH_TEXTS    texts (default 600)
#   HEARTH_BENCH_TINY=1   a few texts, one round, no peers: seconds, so that the bench cannot rot
#
# TEI and Ollama are not measured: their programs come from no registry this set-up may use. Ollama runs
# llama-server underneath; TEI runs ONNX Runtime on a CPU: both are here at better settings than theirs.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh
# shellcheck source=scripts/pins.sh
source scripts/pins.sh
# shellcheck source=scripts/python.sh
source scripts/python.sh
# shellcheck source=bench/lib.sh
source bench/lib.sh

rounds=${HEARTH_BENCH_ROUNDS:-5}
texts=${HEARTH_BENCH_TEXTS:-600}
model=$HEARTH_PREFIX/models/all-minilm
cache=${XDG_CACHE_HOME:-$HOME/.cache}/hearth/bench
precisions=(fp32 bf16 int8)
corpus=$work/corpus.jsonl
engine_options=(--rounds 3)
if [[ -n $tiny ]]; then
    rounds=1
    texts=40
    precisions=(fp32 int8)
    engine_options=(--rounds 1 --no-gemm)
fi

make_corpus() {
    local roots=(/usr/include/boost/asio /usr/include/boost/beast /usr/include/boost/json) python
    for python in /usr/lib/python3.[0-9]*; do [[ ! -d $python ]] || roots+=("$python"); done
    if [[ -n $tiny ]]; then roots=(src/base); fi
    "$build/hearth-corpus" --model "$model" --out "$corpus" --texts "$texts" "${roots[@]}"
}

# ---- peers --------------------------------------------------------------------------------------------

prepare_peers() {
    # Several GB.
    python=$(python_environment bench bench/encoder/requirements.txt)
    mkdir -p "$cache"
    quietly prepare-onnx "$python" bench/encoder/peers.py prepare --model "$model" --out "$cache/onnx"
    make_gguf
}

quietly() {
    local name=$1
    shift
    "$@" >"$work/$name.log" 2>&1 || {
        log_tail "$work/$name.log"
        die "$name failed"
    }
}

# llama.cpp's own converter, from the source that its programs were built from.
make_gguf() {
    local type archive
    for type in f32 f16 q8_0; do
        [[ ! -f $cache/minilm-$type.gguf ]] || continue
        if [[ ! -d $work/llama ]]; then
            mkdir "$work/fetch"
            archive=$(fetch node-llama-cpp "$work/fetch")
            tar -xzf "$archive" -C "$work/fetch" package/llama/gitRelease.bundle
            quietly llama-source git clone "$work/fetch/package/llama/gitRelease.bundle" "$work/llama"
        fi
        quietly "gguf-$type" env PYTHONPATH="$work/llama/gguf-py" "$python" \
            "$work/llama/convert_hf_to_gguf.py" "$model" --outtype "$type" --outfile "$cache/part.gguf"
        mv "$cache/part.gguf" "$cache/minilm-$type.gguf"
    done
}

peer() { "$python" bench/encoder/peers.py "$@" --model "$model" --onnx "$cache/onnx" --texts "$corpus" 2>>"$work/peers.err"; }

# ---- llama-server -------------------------------------------------------------------------------------

# start_llama TYPE SLOTS UBATCH: sets server_pid and server_address.
start_llama() {
    local port
    port=$(free_port)
    start_process llama "$HEARTH_PREFIX/bin/llama-server" --model "$cache/minilm-$1.gguf" --host 127.0.0.1 \
        --port "$port" --embedding --pooling mean --threads "$(nproc)" --threads-batch "$(nproc)" \
        --threads-http 80 --parallel "$2" --ctx-size $(($2 * 512)) --batch-size "$3" --ubatch-size "$3"
    server_address=127.0.0.1:$port
    until_true 60 answers "$server_address/health" || fail_with_log llama
}

# The best of the settings tried, by texts/s on part of the texts: flags first, then how to call it.
tune_llama() {
    local slots ubatch load best=0 rate
    head -n 200 "$corpus" >"$work/part.jsonl"
    llama_slots=32 llama_ubatch=512 llama_load="--batch 32 --concurrency 8"
    for slots in 4 16 32 64; do
        for ubatch in 512 2048 8192; do
            start_llama q8_0 "$slots" "$ubatch"
            for load in "--batch 1 --concurrency $slots" "--batch 32 --concurrency 4"; do
                rate=$(llama_rate "$load")
                say "   llama-server -np $slots -ub $ubatch, $load: $rate texts/s"
                if awk "BEGIN { exit !($rate > $best) }"; then
                    best=$rate llama_slots=$slots llama_ubatch=$ubatch llama_load=$load
                fi
            done
            stop_process "$server_pid"
        done
    done
}

llama_rate() {
    # shellcheck disable=SC2086  # a list of options
    "$build/hearth-load" --address "$server_address" --path /v1/embeddings --texts "$work/part.jsonl" $1 --label x |
        sed -n 's/^x\.texts_per_s\t//p'
}

# ---- measuring ----------------------------------------------------------------------------------------

# load LABEL OPTIONS...: one measurement of the server that runs now.
load() {
    local label=$1
    shift
    "$build/hearth-load" --address "$server_address" --path /v1/embeddings --texts "$corpus" --pid "$server_pid" \
        --label "$label" --record "$work/measurements" "$@" >/dev/null
}

# One text per request, as editors and tools call: latency at three concurrencies.
load_single() {
    local concurrency seconds=8
    if [[ -n $tiny ]]; then seconds=0.5; fi
    for concurrency in 1 8 64; do
        load "$1-c$concurrency" --concurrency "$concurrency" --seconds "$seconds" --warmup 0.5
    done
}

measure_hearth() {
    local precision
    for precision in "${precisions[@]}"; do
        "$build/encoder-engine-bench" --model "$model" --texts "$corpus" --precision "$precision" \
            --label "engine-$precision" "${engine_options[@]}" >>"$work/measurements"
        start_hearth "hearth-$precision" "HEARTH_ENCODER__PRECISION=$precision" HEARTH_CACHE__MEMORY_MIB=0
        load "hearth-$precision" --batch 32 --concurrency 8 --warmup 1
        if [[ $precision == int8 ]]; then load_single "hearth-$precision"; fi
        stop_process "$server_pid"
    done
}

measure_peers() {
    local type
    # shellcheck disable=SC2086  # lists of options
    {
        peer run st $st_settings --label st
        peer run ort-fp32 $ort_fp32_settings --label ort-fp32
        peer run ort-int8 $ort_int8_settings --label ort-int8
    } >>"$work/measurements"
    for type in f32 f16 q8_0; do
        start_llama "$type" "$llama_slots" "$llama_ubatch"
        # shellcheck disable=SC2086
        load "llama-$type" $llama_load --warmup 1
        if [[ $type == q8_0 ]]; then load_single "llama-$type"; fi
        stop_process "$server_pid"
    done
    start_llama_as_shipped
    load llama-shipped --batch 32 --concurrency 8 --warmup 1
    stop_process "$server_pid"
}

# The command its documentation gives for embeddings, with nothing tuned.
start_llama_as_shipped() {
    local port
    port=$(free_port)
    start_process llama "$HEARTH_PREFIX/bin/llama-server" --model "$cache/minilm-f16.gguf" --host 127.0.0.1 \
        --port "$port" --embedding
    server_address=127.0.0.1:$port
    until_true 60 answers "$server_address/health" || fail_with_log llama
}

write_cases() {
    local shipped="st.texts_per_s, llama-f32.texts_per_s, llama-f16.texts_per_s, llama-q8_0.texts_per_s, llama-shipped.texts_per_s"
    local precision concurrency
    {
        echo "int8 over HTTP | texts/s | hearth-int8.texts_per_s | best shipped | $shipped | 3"
        echo "int8 over HTTP | texts/s | hearth-int8.texts_per_s | ORT int8 tuned, sorted | ort-int8.texts_per_s | 1.3"
        echo "int8 inside the engine | texts/s | engine-int8.texts_per_s | ORT int8, no tokenizing | ort-int8.model_texts_per_s | 1.3"
        echo "bf16 over HTTP | texts/s | hearth-bf16.texts_per_s | ORT fp32 tuned, sorted | ort-fp32.texts_per_s | 1.5"
        echo "bf16 inside the engine | texts/s | engine-bf16.texts_per_s | ORT fp32, no tokenizing | ort-fp32.model_texts_per_s | 1.5"
        echo "fp32 over HTTP | texts/s | hearth-fp32.texts_per_s | ORT fp32 tuned, sorted | ort-fp32.texts_per_s |"
        echo "fp32 inside the engine | texts/s | engine-fp32.texts_per_s | ORT fp32, no tokenizing | ort-fp32.model_texts_per_s |"
        echo "int8 share of oneDNN's GEMM rate | % | engine-int8.gemm_percent | limit: 45 % | 45 | 1"
        echo "bf16 share of oneDNN's GEMM rate | % | engine-bf16.gemm_percent | limit: 55 % | 55 | 1"
        echo "fp32 share of oneDNN's GEMM rate | % | engine-fp32.gemm_percent | | |"
        for peer_label in st ort-fp32 ort-int8 llama-f32 llama-f16 llama-q8_0 llama-shipped; do
            echo "int8 over HTTP | texts/s | hearth-int8.texts_per_s | $peer_label | $peer_label.texts_per_s |"
            echo "int8 over HTTP, CPU per text | ms | hearth-int8.cpu_ms_per_text | $peer_label | $peer_label.cpu_ms_per_text |"
        done
        for precision in "${precisions[@]}"; do
            echo "$precision over HTTP | tokens/s | hearth-$precision.tokens_per_s | | |"
            echo "$precision inside the engine | tokens/s | engine-$precision.tokens_per_s | | |"
        done
        for concurrency in 1 8 64; do
            for metric in "requests/s:requests_per_s" "ms p50:p50_ms" "ms p95:p95_ms"; do
                echo "int8, 1 text/request, concurrency $concurrency | ${metric%%:*} | hearth-int8-c$concurrency.${metric#*:} | llama-server q8_0 | llama-q8_0-c$concurrency.${metric#*:} |"
            done
        done
    } >"$work/cases"
}

description=$(make_corpus)
say "   $description"
if [[ -z $tiny ]]; then
    prepare_peers
    step "tuning the peers"
    st_settings=$(peer tune st)
    ort_fp32_settings=$(peer tune ort-fp32)
    ort_int8_settings=$(peer tune ort-int8)
    tune_llama
fi
for ((round = 1; round <= rounds; ++round)); do
    step "round $round of $rounds"
    measure_hearth
    if [[ -z $tiny ]]; then measure_peers; fi
done
write_cases
notes=(--note "$description")
if [[ -z $tiny ]]; then
    notes+=(--note "settings: sentence-transformers $st_settings; ORT fp32 $ort_fp32_settings; ORT int8 $ort_int8_settings; llama-server -np $llama_slots -b/-ub $llama_ubatch, $llama_load"
        --note "not measured: TEI, Ollama (not installable from the package registries)")
    grep -qE 'avx512_bf16|amx_bf16|asimdhp' /proc/cpuinfo ||
        notes+=(--note "this processor has no bf16 instructions: the engine serves the bf16 level with what it has")
fi
report encoder "${notes[@]}"
