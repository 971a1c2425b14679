# shellcheck shell=bash
# ./dev test, and how results are counted.

help_test() {
    cat <<'TEXT'
usage: ./dev test [pattern]

Builds the release preset with its tests and runs them: the tests beside the code, then the scripts
in tests/, which drive the real programs. A pattern (a regular expression) selects by name; two
scripts that take longer run only where it names them, and in ./dev check: run_schemathesis and
run_namespaces.

examples:
  ./dev test               everything
  ./dev test http          what has "http" in its name
  ./dev test clients       the official client libraries against the running server
  ./dev test namespaces    a server elsewhere vanishes from the network under load (as root)
TEXT
}

# Results are lines "name passed failed" in one file, so that a run of several verbs can be summed.
RESULTS=${HEARTH_RESULTS:-$ROOT/build/results.txt}
# What failing tests said, and why a script did not run, goes beside them, to be told once more at the
# very end.
FAILURES=$RESULTS.failures
begin_results() {
    mkdir -p build
    [[ -n ${HEARTH_RESULTS:-} ]] || rm -f "$RESULTS" "$FAILURES"
    touch "$RESULTS" "$FAILURES"
}
record() { printf '%s %d %d\n' "$@" >>"$RESULTS"; }
# The closing line; whoever gave us the file closes instead.
sum_results() {
    [[ -n ${HEARTH_RESULTS:-} ]] ||
        awk '{ p += $2; f += $3 } END { printf "%d passed, %d failed\n", p, f }' "$RESULTS"
}

export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1:strict_string_checks=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-halt_on_error=1:print_stacktrace=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1:second_deadlock_stack=1}

# run_unit_tests PRESET [PATTERN]: every case counts, and a program that dies counts as one failure.
run_unit_tests() {
    local preset=$1 pattern=${2:-.} log=build/$1.tests.log passed failed status=0
    ctest --test-dir "build/$preset" -R "$pattern" -j "$JOBS" --output-on-failure --no-tests=ignore \
        >"build/$preset.ctest.log" 2>&1 || status=$?
    cp "build/$preset/Testing/Temporary/LastTest.log" "$log" 2>/dev/null || : >"$log"
    passed=$(grep -c '^\[       OK \]' "$log" || true)
    failed=$(grep -cE '^\[  FAILED  \] .*\([0-9]+ ms\)$' "$log" || true)
    if ((status && failed == 0)); then failed=1; fi
    record "$preset" "$passed" "$failed"
    say "   $preset: $passed passed, $failed failed"
    ((failed == 0)) || {
        { failed_cases "$log" && tail -n 20 "build/$preset.ctest.log"; } | sed "s/^/$preset: /" |
            tee -a "$FAILURES" >&2
        return 1
    }
}
# What each failing case printed, and what a program printed that died within one.
failed_cases() {
    awk '/^\[ RUN / { text = ""; inside = 1 }
        inside { text = text $0 "\n" }
        /^\[       OK \]|^\[  SKIPPED \]/ { inside = 0 }
        /^\[  FAILED  \] .*ms\)$|^<end of output>/ { if (inside) printf "%s", text; inside = 0 }' "$1" |
        tail -n 200
}

# A script of tests/ may close with "N passed, N failed"; else it counts as one. "SKIPPED: why" says
# that this machine lacks what it needs.
run_test_script() {
    local script=$1 name log passed=1 failed=0
    name=$(basename "$script" .sh)
    log=build/$name.log
    step "running $script"
    if bash "$script" 2>&1 | tee "$log" >&2; then :; else
        passed=0
        failed=1
    fi
    if [[ $(tail -n 1 "$log") =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
        passed=${BASH_REMATCH[1]}
        ((BASH_REMATCH[2] <= failed)) || failed=${BASH_REMATCH[2]}
    fi
    record "$name" "$passed" "$failed"
    grep '^SKIPPED: ' "$log" | sed "s/^/$name: /" >>"$FAILURES" || true
    ((failed == 0)) || {
        grep -v '^ok ' "$log" | tail -n 40 | sed "s/^/$name: /" >>"$FAILURES"
        return 1
    }
}

# Run by ./dev check, each a stage of its own.
LONG_TEST_SCRIPTS=(tests/run_schemathesis.sh tests/run_namespaces.sh)
is_long() { [[ " ${LONG_TEST_SCRIPTS[*]} " == *" $1 "* ]]; }

verb_test() {
    local pattern=${1:-} script status=0
    ensure_packages "${PACKAGES_TEST[@]}"
    ensure_node
    begin_results
    build_preset release all
    run_unit_tests release "$pattern" || status=1
    for script in tests/*.sh; do
        [[ -f $script && $script =~ ${pattern:-.} ]] || continue
        [[ -n $pattern ]] || ! is_long "$script" || continue
        run_test_script "$script" || status=1
    done
    sum_results
    return $status
}
