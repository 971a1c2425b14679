#!/usr/bin/env bash
# The HTTP server alone: /health and a 1 kB JSON echo beside nginx returning the same bytes, in interleaved
# rounds; start to ready, start of the command line, memory without a model. Prints a table and writes
# build/bench/http.json.
#
#   HEARTH_BENCH_ROUNDS   rounds (default 5)
#   HEARTH_BENCH_TINY=1   one short round without nginx
#
# nginx: two workers, no access log, `return` of a fixed body. It does not read that body from anywhere, and for the
# echo it drops the one it is sent; ours hands the request's body to a handler and sends it back.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh
# shellcheck source=bench/lib.sh
source bench/lib.sh

rounds=${HEARTH_BENCH_ROUNDS:-5}
seconds=4
starts=20
if [[ -n $tiny ]]; then
    rounds=1
    seconds=0.3
    starts=2
fi
workers=$(nproc)

make_body() {
    local filler
    filler=$(printf 'x%.0s' $(seq 960))
    printf '{"model":"all-minilm","input":"%s","n":1}' "$filler" >"$work/body.json"
}

# load LABEL OPTIONS...: one measurement of the server that runs now.
load() {
    local label=$1
    shift
    "$build/hearth-load" --address "$server_address" --pid "$server_pid" --seconds "$seconds" --warmup 0.3 \
        --label "$label" --record "$work/measurements" "$@" >/dev/null
}

load_all() {
    load "$1-health-c64" --path /health --concurrency 64 --threads "$workers"
    load "$1-health-c1" --path /health --concurrency 1
    [[ $1 != hearth ]] || return 0
    load "$1-echo-c64" --path /echo --body "$work/body.json" --concurrency 64 --threads "$workers"
    load "$1-echo-c1" --path /echo --body "$work/body.json" --concurrency 1
}

measure_round() {
    start_hearth hearth
    load_all hearth
    health_body=$(curl --silent --max-time 5 "http://$server_address/health")
    stop_process "$server_pid"
    start_process echo "$build/http-echo-server" 127.0.0.1:0 "$workers"
    until_true 20 grep -q '^ready ' "$work/echo.out" || fail_with_log echo
    server_address=$(sed -n 's|^ready http://||p' "$work/echo.out")
    load_all server
    stop_process "$server_pid"
    [[ -z $tiny ]] || return 0
    run_nginx /health "
        location = /health { return 200 '$health_body'; }
        location = /echo { return 200 '$(<"$work/body.json")'; }" 'default_type application/json;'
    load_all nginx
    stop_process "$server_pid"
}

measure_starts() {
    "$build/hearth-spawn-time" --times "$starts" --label start --record "$work/measurements" -- \
        "$build/hearth" serve --listen 127.0.0.1:0 --data-dir "$work/data" >/dev/null 2>"$work/start.err"
    "$build/hearth-spawn-time" --times "$starts" --until-exit --label version --record "$work/measurements" -- \
        "$build/hearth" --version >/dev/null
}

write_cases() {
    local ours metric concurrency
    for concurrency in 64 1; do
        for ours in hearth:health server:health server:echo; do
            for metric in "requests/s:requests_per_s" "us CPU:cpu_us_per_request" "ms p50:p50_ms" "ms p99:p99_ms"; do
                key=${ours#*:}-c$concurrency.${metric#*:}
                bar=
                [[ $metric == req* && $concurrency == 64 && $ours == hearth* ]] && bar=0.6
                echo "${ours%%:*} /${ours#*:}, concurrency $concurrency | ${metric%%:*} | ${ours%%:*}-$key | nginx return | nginx-$key | $bar"
            done
        done
    done
    echo "start to ready | ms | start.ready_ms | limit: 100 ms | 100 | 1"
    echo "hearth --version | ms | version.exit_ms | limit: 10 ms | 10 | 1"
    echo "resident, no model loaded | MiB | start.resident_mib | limit: 25 MiB | 25 | 1"
    for ours in hearth server nginx; do
        echo "load generator's CPU, $ours /health c64 | cores | $ours-health-c64.load_cpu_share | | |"
    done
}

make_body
for ((round = 1; round <= rounds; ++round)); do
    step "round $round of $rounds"
    measure_round
done
step "starting and stopping"
measure_starts
write_cases >"$work/cases"
report http --note "load and server share $workers cores; server: our HTTP server alone, hearth: the whole program"
