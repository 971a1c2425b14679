# shellcheck shell=bash
# ./dev check.

help_check() {
    cat <<'TEXT'
usage: ./dev check

Everything that must hold before a merge: format, scripts, release tests, the whole OpenAPI document
against the server, servers elsewhere on a network that breaks, style rules, lint, the tests under
address and undefined-behaviour sanitizers, under the thread sanitizer, and 30 seconds of every
fuzzer. Under an hour on two cores from nothing.

examples:
  ./dev check
TEXT
}

# check_stage NAME COMMAND...: runs a stage, keeps going after a failure, notes how long it took.
# Bash does not stop at a failing line inside a condition: stages return or die explicitly.
check_stage() {
    local name=$1 started=$EPOCHSECONDS outcome=passed failed_before
    shift
    failed_before=$(failed_results)
    step "check: $name"
    if ("$@"); then :; else
        outcome=FAILED
        FAILED_STAGES+=("$name")
        # A stage that could not even build has counted nothing.
        (($(failed_results) > failed_before)) || record "$name" 0 1
    fi
    STAGE_TIMES+=("$(printf '%-24s %-7s %s' "$name" "$outcome" "$(elapsed "$started")")")
}
# The same for a stage that counts as one test; the others count their own.
check_rule() {
    local failed_before=${#FAILED_STAGES[@]}
    check_stage "$@"
    ((${#FAILED_STAGES[@]} > failed_before)) || record "$1" 1 0
}
failed_results() { awk '{ f += $3 } END { print f + 0 }' "$RESULTS"; }

test_preset() {
    build_preset "$1" all
    run_unit_tests "$1"
}

verb_check() {
    local started=$EPOCHSECONDS script
    FAILED_STAGES=() STAGE_TIMES=()
    begin_results
    ensure_packages "${PACKAGES_CHECK[@]}"
    check_rule format verb_fmt --check
    check_rule scripts check_scripts
    check_stage release-tests env HEARTH_RESULTS="$RESULTS" ./dev test
    for script in "${LONG_TEST_SCRIPTS[@]}"; do
        check_stage "$(basename "$script" .sh)" run_test_script "$script"
    done
    check_rule tidy verb_tidy
    check_rule lint lint
    check_stage tsan-tests test_preset tsan
    check_stage asan-tests test_preset asan
    # The asan preset holds the fuzzers too, so that they cost no build of their own here.
    check_stage fuzzers run_fuzzers asan all 30
    say ""
    cat "$FAILURES" >&2
    printf '   %s\n' "${STAGE_TIMES[@]}" >&2
    say "   all of it: $(elapsed "$started")"
    sum_results
    ((${#FAILED_STAGES[@]} == 0)) || die "check failed: ${FAILED_STAGES[*]}"
}
