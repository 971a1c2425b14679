# shellcheck shell=bash
# ./dev bench and fuzz.

help_bench() {
    cat <<'TEXT'
usage: ./dev bench [name [argument ...]]

Runs bench/NAME.sh on the release build; it prints a table and writes build/bench/NAME.json. Without
a name, lists what there is.

examples:
  ./dev bench
  ./dev bench encoder
TEXT
}

help_fuzz() {
    cat <<'TEXT'
usage: ./dev fuzz NAME|all [seconds]

Builds the fuzzers and runs one, or all of them, for so many seconds each (default 30). The corpus
grows under build/corpus; inputs that fail are kept there too.

examples:
  ./dev fuzz all 30
  ./dev fuzz tokenizer_fuzz 600
TEXT
}

verb_bench() {
    local name=${1:-}
    if [[ -z $name ]]; then
        say "benchmarks: $(our_files 'bench/*.sh' | grep -v /lib.sh | xargs -r -n1 basename -s .sh | tr '\n' ' ')"
        return 0
    fi
    shift
    [[ -f bench/$name.sh ]] || die "there is no bench/$name.sh; ./dev bench lists them"
    ensure_packages "${PACKAGES_BENCH[@]}"
    build_preset release all
    mkdir -p build/bench
    exec bash "bench/$name.sh" "$@"
}

# Runs one fuzzer; its corpus starts from the seeds that lie beside the code.
run_fuzzer() {
    local program=$1 seconds=$2 name corpus seeds
    name=$(basename "$program")
    corpus=build/corpus/$name
    mkdir -p "$corpus"
    mapfile -t seeds < <(find src -type d -path "*/testdata/${name%_fuzz}*")
    if "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$corpus-" "$corpus" "${seeds[@]}" >"$corpus.log" 2>&1; then
        say "   $name: clean, $(awk '/number_of_executed_units/ { print $2 }' "$corpus.log") inputs"
        record "$name" 1 0
    else
        log_tail "$corpus.log"
        say "   $name: FAILED; the log is $corpus.log"
        record "$name" 0 1
        return 1
    fi
}

verb_fuzz() {
    local name=${1:-} seconds=${2:-30}
    [[ -n $name ]] || die "which fuzzer? ./dev fuzz all, or one of: $(our_files '*_fuzz.cc' | xargs -r -n1 basename -s .cc | tr '\n' ' ')"
    [[ $seconds =~ ^[0-9]+$ ]] || die "seconds must be a whole number, not \"$seconds\""
    build_preset fuzz all
    [[ $name == all ]] || [[ -x build/fuzz/fuzzers/$name ]] || die "there is no fuzzer named $name"
    run_fuzzers fuzz "$name" "$seconds"
}

# run_fuzzers PRESET NAME|all SECONDS: as many at once as there are cores.
run_fuzzers() {
    local preset=$1 name=$2 seconds=$3 program status=0 jobs=() job
    for program in "build/$preset"/fuzzers/*; do
        [[ -x $program && ($name == all || $name == "$(basename "$program")") ]] || continue
        while (($(jobs -rp | wc -l) >= JOBS)); do sleep 0.2; done
        run_fuzzer "$program" "$seconds" &
        jobs+=($!)
    done
    for job in "${jobs[@]}"; do wait "$job" || status=1; done
    return $status
}
