# shellcheck shell=bash
# Built servers for the scripts of tests/. Those set `build`, the folder of the programs, and `work`, a folder of their own.

declare -A SERVERS=() # process ids, by name

# make_models KIND...: tiny models in $work/models.
make_models() {
    local kind
    for kind in "$@"; do
        "$build/hearth_make_gguf" "$kind" "$work/models" >/dev/null || return 1
    done
}

# start_server NAME [ARGUMENT ...]: `hearth serve` on a free port of the loopback address, which `base` names afterwards.
# Nothing else on this machine decides a test: no models of its user, no Ollama that happens to run.
start_server() {
    local name=$1 pid
    shift
    : >"$work/$name.ready"
    HEARTH_MODELS__OLLAMA_STORE=false HEARTH_MODELS__HUB_CACHE=false HEARTH_ROUTING__FIND_OLLAMA=false \
        "$build/hearth" serve --listen 127.0.0.1:0 --data-dir "$work/$name" "$@" \
        >"$work/$name.ready" 2>"$work/$name.log" &
    pid=$!
    SERVERS[$name]=$pid
    for _ in $(seq 1200); do
        if grep -q '^ready ' "$work/$name.ready"; then
            base=$(sed -n 's/^ready //p' "$work/$name.ready" | head -n 1)
            return
        fi
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.05
    done
    echo "$name did not become ready:" >&2
    tail -n 20 "$work/$name.log" >&2
    return 1
}

# stop_server NAME: as an administrator does; fails unless it ends in time, and cleanly.
stop_server() {
    local name=$1 pid=${SERVERS[$1]} status=0
    kill -TERM "$pid" 2>/dev/null || true
    for _ in $(seq 1200); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.05
    done
    unset "SERVERS[$name]"
    if kill -0 "$pid" 2>/dev/null; then
        kill -KILL "$pid"
        echo "FAIL $name did not stop" && return 1
    fi
    wait "$pid" || status=$?
    ((status == 0)) || { echo "FAIL $name did not stop cleanly (status $status)" && tail -n 5 "$work/$name.log"; }
    return "$status"
}

# For the EXIT trap.
finish_servers() {
    local name
    for name in "${!SERVERS[@]}"; do
        kill -KILL "${SERVERS[$name]}" 2>/dev/null || true
        wait "${SERVERS[$name]}" 2>/dev/null || true # or the shell tells of the kill
    done
    rm -rf "$work"
}
