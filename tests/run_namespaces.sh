#!/usr/bin/env bash
# Runs two gateways and three servers in network namespaces of their own; the heaviest server vanishes from the network
# under load and comes back. Usage: tests/run_namespaces.sh [build folder]
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/release}
work=$(mktemp -d)
probe=hearth-probe-$$
trap 'rm -rf "$work"' EXIT

# Asked for, not guessed: the right to make them, the program, bridges and pairs of devices.
can_make_namespaces() {
    ip netns add "$probe" || return 1
    local status=0
    ip -n "$probe" link add switch type bridge && ip -n "$probe" link add one type veth peer name two || status=1
    ip netns delete "$probe" || status=1
    return "$status"
}
if ! can_make_namespaces 2>"$work/why"; then
    echo "SKIPPED: network namespaces cannot be made here: $(tail -n 1 "$work/why")"
    echo "0 passed, 0 failed"
    exit 0
fi
python3 tests/namespaces/check.py "$build" "$work"
