# shellcheck shell=bash
# ./dev build, run and demo.

help_build() {
    cat <<'TEXT'
usage: ./dev build [preset] [target ...]

Builds the programs into build/PRESET: hearth and hearth-worker. Presets: release (default), dev,
asan, tsan, fuzz, gcc (CMakePresets.json). With targets, builds those instead; "all" is everything.

examples:
  ./dev build                 build/release/hearth and build/release/hearth-worker
  ./dev build dev all         programs, tests and benchmarks with debug information
TEXT
}

help_run() {
    cat <<'TEXT'
usage: ./dev run [argument ...]

Builds, then starts `hearth serve` with these arguments in the folder you are in.

examples:
  ./dev run
  ./dev run --listen 127.0.0.1:8080 --data-dir /tmp/hearth
TEXT
}

help_demo() {
    cat <<'TEXT'
usage: ./dev demo [folder]

Builds, starts a server on a free port, embeds every function-sized piece of the folder through the
HTTP API, answers three questions with the nearest places, prints the rates and stops the server.
The folder defaults to this repository's own sources.

examples:
  ./dev demo
  ./dev demo ~/projects/mine
TEXT
}

# CMake runs again by itself when a listing changes; here only when there is no build folder yet, or
# it was made for another prefix.
configure() {
    local preset=$1 log=build/$1.configure.log
    if [[ -f build/$preset/build.ninja ]] &&
        grep -qxF "HEARTH_PREFIX:PATH=$HEARTH_PREFIX" "build/$preset/CMakeCache.txt"; then
        return 0
    fi
    mkdir -p build
    cmake --preset "$preset" >"$log" 2>&1 || {
        log_tail "$log"
        die "the preset $preset could not be configured; the log is $log"
    }
}

# Ninja's output where there is no terminal: a line every quarter of a long build, and whatever is
# not a status line.
quiet_ninja() {
    local line quarter=0
    while IFS= read -r line; do
        if [[ ! $line =~ ^\[([0-9]+)/([0-9]+)\] ]]; then
            printf '%s\n' "$line" >&2
        elif ((BASH_REMATCH[2] > 20 && 4 * BASH_REMATCH[1] / BASH_REMATCH[2] > quarter)); then
            quarter=$((4 * BASH_REMATCH[1] / BASH_REMATCH[2]))
            say "   $((25 * quarter))% of ${BASH_REMATCH[2]}"
        fi
    done
}

# build_preset PRESET TARGET...
build_preset() {
    local preset=$1
    shift
    configure "$preset"
    step "building $preset: $*"
    if [[ -t 2 ]]; then
        cmake --build "build/$preset" --target "$@" >&2
    else
        cmake --build "build/$preset" --target "$@" 2>&1 | quiet_ninja
    fi || die "the preset $preset does not build"
}

build_programs() { build_preset release hearth hearth-worker; }

verb_build() {
    local preset=${1:-release}
    (($# == 0)) || shift
    if (($#)); then
        build_preset "$preset" "$@"
    elif [[ $preset == fuzz ]]; then
        build_preset fuzz all
    else
        build_preset "$preset" hearth hearth-worker
        say "   build/$preset/hearth and build/$preset/hearth-worker are ready"
    fi
}

verb_run() {
    build_programs
    cd "$CALLER_DIR" || die "the folder $CALLER_DIR is gone"
    exec "$ROOT/build/release/hearth" serve "$@"
}

verb_demo() {
    build_programs
    cd "$CALLER_DIR" || die "the folder $CALLER_DIR is gone"
    exec "$ROOT/build/release/hearth" demo "${@:-$ROOT/src}"
}
