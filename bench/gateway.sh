#!/usr/bin/env bash
# What a gateway adds: chat passed through to a server of the same dialect that answers at once, whole and as a stream,
# by Hearth, by nginx as a reverse proxy and by LiteLLM, beside the server asked directly. All run at once and are asked
# in turn, so that each round compares within seconds. Prints a table and writes build/bench/gateway.json.
#
#   HEARTH_BENCH_ROUNDS   rounds (default 5)
#   HEARTH_BENCH_SOAK     requests of the soak at the end, resident memory before and after (default 1000000)
#   HEARTH_BENCH_TINY=1   one short round without peers and soak
#
# "added": the time over that of the direct call, of the same round. nginx keeps connections to the server and passes
# events on at once (proxy_buffering off); Hearth reads, routes, meters and checks each request and each event. LiteLLM
# runs a process per core.
# "paced": a stream whose tokens come a millisecond apart; what a gateway adds to a token shows only there. "long": whole
# answers to prompts of 64 KB.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh
# shellcheck source=scripts/python.sh
source scripts/python.sh
# shellcheck source=bench/lib.sh
source bench/lib.sh

rounds=${HEARTH_BENCH_ROUNDS:-5}
soak=${HEARTH_BENCH_SOAK:-1000000}
seconds=3
tokens=32
concurrencies=(1 8 16 64)
read -r -a peers <<<"${HEARTH_BENCH_PEERS-nginx litellm}"
if [[ -n $tiny ]]; then
    rounds=1
    soak=200
    seconds=0.3
    concurrencies=(1 8)
    peers=()
fi
workers=$(nproc)
declare -A addresses pids

make_bodies() {
    local content
    content=$(head -c 900 src/http/server.h | jq -Rs .)
    echo "{\"model\":\"zero\",\"messages\":[{\"role\":\"user\",\"content\":$content}]}" >"$work/whole.jsonl"
    echo "{\"model\":\"zero\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":$content}]}" >"$work/stream.jsonl"
    sed 's/"zero"/"zero-paced"/' "$work/stream.jsonl" >"$work/paced.jsonl"
    content=$(head -c 64000 <(cat src/http/*.h src/server/*.h) | jq -Rs .)
    echo "{\"model\":\"zero\",\"messages\":[{\"role\":\"user\",\"content\":$content}]}" >"$work/long.jsonl"
}

started() {
    addresses[$1]=$server_address
    pids[$1]=$server_pid
}

start_direct() {
    start_process direct "$build/zero-delay-upstream" 127.0.0.1:0 "$workers" "$tokens"
    until_true 20 grep -q '^ready ' "$work/direct.out" || fail_with_log direct
    server_address=$(sed -n 's|^ready http://||p' "$work/direct.out")
    started direct
}

start_ours() {
    start_hearth hearth "HEARTH_BACKENDS__UP__URL=http://${addresses[direct]}" HEARTH_BACKENDS__UP__KIND=openai \
        HEARTH_BACKENDS__UP__CONCURRENCY=256 HEARTH_ROUTING__FIND_OLLAMA=false HEARTH_MODELS__INSTALLED=false \
        HEARTH_MODELS__OLLAMA_STORE=false HEARTH_MODELS__HUB_CACHE=false
    started hearth
}

start_nginx() {
    run_nginx /v1/models '
        location / {
            proxy_pass http://up;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }' "
    client_body_buffer_size 1m;
    upstream up {
        server ${addresses[direct]};
        keepalive 256;
        keepalive_requests 1000000000;
    }"
    started nginx
}

start_litellm() {
    local python port
    python=$(python_environment litellm bench/gateway/requirements.txt)
    port=$(free_port)
    cat >"$work/litellm.yaml" <<CONF
model_list:
  - model_name: zero
    litellm_params: {model: openai/zero, api_base: "http://${addresses[direct]}/v1", api_key: none}
  - model_name: zero-paced
    litellm_params: {model: openai/zero-paced, api_base: "http://${addresses[direct]}/v1", api_key: none}
litellm_settings: {telemetry: false}
CONF
    start_process litellm env LITELLM_LOCAL_MODEL_COST_MAP=True LITELLM_LOG=ERROR NO_DOCS=True \
        LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY=true \
        "$(dirname "$python")/litellm" --config "$work/litellm.yaml" --host 127.0.0.1 --port "$port" \
        --num_workers "$workers" --telemetry False
    server_address=127.0.0.1:$port
    until_true 120 answers "$server_address/health/liveliness" || fail_with_log litellm
    started litellm
}

# load WHO MODE CONCURRENCY
load() {
    local flags=()
    [[ $2 != stream && $2 != paced ]] || flags=(--stream --tokens "$tokens")
    "$build/hearth-load" --address "${addresses[$1]}" --pid "${pids[$1]}" --path /v1/chat/completions \
        --bodies "$work/$2.jsonl" --seconds "$seconds" --warmup 0.3 --concurrency "$3" --threads "$workers" \
        --label "$1-$2-c$3" --record "$work/measurements" "${flags[@]}" >/dev/null
}

measure_round() {
    local case who order=(direct hearth "${peers[@]}")
    (($1 % 2)) || mapfile -t order < <(printf '%s\n' "${order[@]}" | tac)
    for case in "${concurrencies[@]/#/whole }" "${concurrencies[@]/#/stream }" "paced 1" "long 1" "long 8"; do
        for who in "${order[@]}"; do load "$who" "${case% *}" "${case#* }"; done
    done
}

# Of each round and each gateway: its times less the direct ones, in microseconds.
write_added() {
    awk -F '\t' '
        { n = ++seen[$1]; value[$1, n] = $2; if (n > rounds) rounds = n; keys[$1] = 1 }
        END {
            for (key in keys) {
                split(key, part, "."); direct = key; sub(/^[a-z]+-/, "direct-", direct)
                if (key ~ /^direct-/ || part[2] !~ /_ms$/ || !(direct in keys)) continue
                name = key; sub(/_ms$/, "_us", name); sub(/\./, ".added_", name)
                for (i = 1; i <= seen[key]; ++i)
                    printf "%s\t%.6g\n", name, 1000 * (value[key, i] - value[direct, i])
            }
        }' "$work/measurements" >"$work/added"
    cat "$work/added" >>"$work/measurements"
}

resident_of() { # PID
    local sum=0 pid
    for pid in "$1" $(pgrep -P "$1" || true); do
        sum=$((sum + $(awk '/^VmRSS/ { print $2 }' "/proc/$pid/status" 2>/dev/null || echo 0)))
    done
    awk "BEGIN { printf \"%.4g\", $sum / 1024 }"
}
note_resident() { printf '%s.resident_mib\t%s\n' "$1" "$(resident_of "${pids[hearth]}")" >>"$work/measurements"; }

run_soak() {
    note_resident "before"
    "$build/hearth-load" --address "${addresses[hearth]}" --pid "${pids[hearth]}" --path /v1/chat/completions \
        --bodies "$work/whole.jsonl" --passes "$soak" --concurrency 64 --threads "$workers" \
        --label soak --record "$work/measurements" >/dev/null
    note_resident "after"
}

write_cases() {
    local mode concurrency metric who
    for mode in whole stream; do
        for concurrency in "${concurrencies[@]}"; do
            local bar=
            [[ $concurrency == 1 || $concurrency == 8 ]] || bar=0.5
            for who in nginx litellm direct; do
                [[ $who == nginx ]] || bar=
                echo "$mode, concurrency $concurrency | requests/s | hearth-$mode-c$concurrency.requests_per_s | $who | $who-$mode-c$concurrency.requests_per_s | $bar"
            done
            for metric in p50 p99; do
                bar="| |"
                [[ $metric-$concurrency-$mode != p50-1-whole ]] || bar="limit: 60 us | 60 | 1"
                [[ $bar == "| |" ]] || echo "$mode, concurrency $concurrency, added $metric | us | hearth-$mode-c$concurrency.added_${metric}_us | $bar"
                for who in nginx litellm; do
                    echo "$mode, concurrency $concurrency, added $metric | us | hearth-$mode-c$concurrency.added_${metric}_us | $who | $who-$mode-c$concurrency.added_${metric}_us |"
                done
            done
        done
        for who in nginx litellm; do
            echo "$mode, concurrency 8, CPU | us/request | hearth-$mode-c8.cpu_us_per_request | $who | $who-$mode-c8.cpu_us_per_request |"
        done
    done
    for who in nginx litellm; do
        for metric in ttft_p50 tpot_p50; do
            echo "paced stream, concurrency 1, added $metric | us | hearth-paced-c1.added_${metric}_us | $who | $who-paced-c1.added_${metric}_us |"
        done
        for concurrency in 1 8; do
            echo "prompts of 64 KB, concurrency $concurrency | requests/s | hearth-long-c$concurrency.requests_per_s | $who | $who-long-c$concurrency.requests_per_s |"
        done
        echo "prompts of 64 KB, concurrency 1, added p50 | us | hearth-long-c1.added_p50_us | $who | $who-long-c1.added_p50_us |"
    done
    for concurrency in "${concurrencies[@]}"; do
        for metric in ttft_p50 ttft_p95; do
            [[ $metric-$concurrency != ttft_p50-1 ]] ||
                echo "stream, concurrency 1, added $metric | us | hearth-stream-c1.added_${metric}_us | limit: 100 us | 100 | 1"
            for who in nginx litellm; do
                echo "stream, concurrency $concurrency, added $metric | us | hearth-stream-c$concurrency.added_${metric}_us | $who | $who-stream-c$concurrency.added_${metric}_us |"
            done
        done
    done
    echo "resident at start | MiB | start.resident_mib | limit: 25 MiB | 25 | 1"
    echo "resident after the rounds | MiB | before.resident_mib | | |"
    echo "resident after $soak requests more | MiB | after.resident_mib | before them | before.resident_mib |"
    echo "soak, concurrency 64 | requests/s | soak.requests_per_s | | |"
    echo "load generator's CPU, c64 | cores | hearth-whole-c64.load_cpu_share | | |"
}

make_bodies
start_direct
start_ours
for peer in "${peers[@]}"; do "start_$peer"; done
note_resident start
for ((round = 1; round <= rounds; ++round)); do
    step "round $round of $rounds"
    measure_round "$round"
done
write_added
step "soak: $soak requests"
run_soak
write_cases | if [[ -n $tiny ]]; then grep -vE 'nginx|litellm'; else cat; fi >"$work/cases"
report gateway --note "load, gateway and upstream share $workers cores; streams have $tokens events of a token each"
