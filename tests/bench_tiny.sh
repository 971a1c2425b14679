#!/usr/bin/env bash
# Runs the benches with tiny inputs and no peers: seconds, so that they cannot rot.
# Usage: tests/bench_tiny.sh [build folder]
set -euo pipefail
cd "$(dirname "$0")/.."
export HEARTH_BUILD=${1:-build/release} HEARTH_BENCH_TINY=1
passed=0
failed=0
for bench in encoder gateway generation http; do
    if timeout 120 bash "bench/$bench.sh" >"build/$bench.tiny.log" 2>&1 && [[ -s build/bench/tiny/$bench.json ]]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        tail -n 20 "build/$bench.tiny.log"
    fi
done
echo "$passed passed, $failed failed"
[[ $failed -eq 0 ]]
