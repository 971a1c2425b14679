# shellcheck shell=bash
# What every script shares: words to the reader, the administrator's rights, paths.

HEARTH_PREFIX=${HEARTH_PREFIX:-${XDG_CACHE_HOME:-$HOME/.cache}/hearth/prefix}
export HEARTH_PREFIX
export CCACHE_MAXSIZE=${CCACHE_MAXSIZE:-5G}
JOBS=$(nproc)
# A pinned Node.js is there only because the machine's own is missing or too old: it comes first.
NODE_DIR=$HEARTH_PREFIX/node
PATH=$NODE_DIR/bin:$PATH

say() { printf '%s\n' "$*" >&2; }
step() { printf '== %s\n' "$*" >&2; }
die() {
    printf './dev: %s\n' "$*" >&2
    exit 1
}

# Runs a command with the administrator's rights: as root, or through sudo.
as_root() {
    if ((EUID == 0)); then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo -- "$@"
    else
        die "this needs root, and there is no sudo here: $*"
    fi
}

# Lines of "percent text" on standard input become one moving line on a terminal, and a line every
# quarter elsewhere.
show_progress() {
    local label=$1 percent text shown=-1
    while read -r percent text; do
        [[ $percent =~ ^[0-9]+$ ]] || continue
        if [[ -t 2 ]]; then
            printf '\r\e[K   %-34s %3d%% %.40s' "$label" "$percent" "$text" >&2
        elif ((percent / 25 > shown)); then
            shown=$((percent / 25))
            printf '   %s %d%%\n' "$label" "$percent" >&2
        fi
    done
    if [[ -t 2 ]]; then printf '\r\e[K' >&2; fi
}

# elapsed START: seconds since START (a value of $EPOCHSECONDS), as "3 min 05 s".
elapsed() {
    local seconds=$((EPOCHSECONDS - $1))
    printf '%d min %02d s' $((seconds / 60)) $((seconds % 60))
}

# The last lines of a log, for the one sentence of a failure.
log_tail() { tail -n 15 "$1" | sed 's/^/   | /' >&2; }
