# shellcheck shell=bash
# shellcheck disable=SC2034  # the scripts that source this read what it sets
# What every bench shares. Sourced from the repository root after scripts/lib.sh.

build=${HEARTH_BUILD:-build/release}
tiny=${HEARTH_BENCH_TINY:-}
results=build/bench${tiny:+/tiny}
work=$(mktemp -d)
children=()

stop_children() {
    local pid
    for pid in "${children[@]}"; do stop_process "$pid"; done
    rm -rf "$work"
}
trap stop_children EXIT

# stop_process PID: SIGTERM, then SIGKILL after 10 s. Only ever a process started here.
stop_process() {
    local pid=$1 left=200
    kill -TERM "$pid" 2>/dev/null || return 0
    while kill -0 "$pid" 2>/dev/null && ((left-- > 0)); do sleep 0.05; done
    kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
}

# start_process NAME COMMAND...: sets server_pid; its output lies in $work/NAME.out and $work/NAME.err.
start_process() {
    local name=$1
    shift
    "$@" >"$work/$name.out" 2>"$work/$name.err" &
    server_pid=$!
    children+=("$server_pid")
}

# until_true SECONDS COMMAND...: polls; false when it never held.
until_true() {
    local end=$((EPOCHSECONDS + $1))
    shift
    until "$@"; do
        ((EPOCHSECONDS < end)) || return 1
        sleep 0.05
    done
}

# start_hearth NAME [ENV=VALUE...]: sets server_pid and server_address.
start_hearth() {
    local name=$1
    shift
    start_process "$name" env "$@" "$build/hearth" serve --listen 127.0.0.1:0 --data-dir "$work/data"
    until_true 60 grep -q '^ready ' "$work/$name.out" || fail_with_log "$name"
    server_address=$(sed -n 's|^ready http://||p' "$work/$name.out")
}

# run_nginx PATH SERVER [HTTP]: with the directives given inside the server and beside it; sets server_pid and
# server_address. PATH answers when it is ready.
run_nginx() {
    local port
    port=$(free_port)
    mkdir -p "$work/nginx"
    cat >"$work/nginx.conf" <<CONF
daemon off;
worker_processes $(nproc);
pid $work/nginx/pid;
error_log stderr crit;
events { worker_connections 4096; }
http {
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path $work/nginx;
    proxy_temp_path $work/nginx;
    fastcgi_temp_path $work/nginx;
    uwsgi_temp_path $work/nginx;
    scgi_temp_path $work/nginx;
    ${3:-}
    server {
        listen 127.0.0.1:$port reuseport;
        $2
    }
}
CONF
    start_process nginx "$(PATH=$PATH:/usr/sbin command -v nginx)" -c "$work/nginx.conf" -e stderr
    server_address=127.0.0.1:$port
    until_true 20 answers "$server_address$1" || fail_with_log nginx
}

fail_with_log() {
    log_tail "$work/$1.err"
    die "$1 did not start"
}

# A port nothing listens on now, for peers that cannot choose one themselves.
free_port() {
    local port
    for port in $(shuf -i 20000-29999 -n 50); do
        if ! (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            echo "$port"
            return
        fi
    done
    die "no free port was found"
}

answers() { curl --silent --fail --max-time 2 --output /dev/null "http://$1"; }

machine_name() {
    local model memory flags
    model=$(lscpu | sed -n 's/^Model name: *//p' | head -n 1)
    memory=$(awk '/MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)
    flags=$(grep -m1 -oE '\b(avx2|avx512f|avx512_vnni|avx512_bf16|amx_int8|amx_bf16|asimd|sve)\b' /proc/cpuinfo |
        sort -u | tr '\n' ' ')
    echo "$model, $(nproc) cores, $memory, ${flags% }, $(sed -n 's/^PRETTY_NAME="\(.*\)"/\1/p' /etc/os-release)"
}

commit_name() {
    local name
    name=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
    [[ -z $(git status --porcelain --untracked-files=no 2>/dev/null) ]] || name+=" with changes"
    echo "$name"
}

# report NAME [--note TEXT...]: the table on standard output and build/bench/NAME.json.
report() {
    local name=$1
    shift
    mkdir -p "$results"
    cp "$work/measurements" "$results/$name.tsv"
    "$build/hearth-bench-report" --name "$name" --measurements "$work/measurements" --cases "$work/cases" \
        --json "$results/$name.json" --machine "$(machine_name)" --commit "$(commit_name)" "$@"
}
