# shellcheck shell=bash
# ./dev fmt and tidy, and the static part of check.

help_fmt() {
    cat <<'TEXT'
usage: ./dev fmt [--check]

Formats the C++ sources with clang-format-19. With --check, changes nothing and fails when a file is
not formatted.

examples:
  ./dev fmt
  ./dev fmt --check
TEXT
}

help_tidy() {
    cat <<'TEXT'
usage: ./dev tidy [--fix]

Checks the rules of style that no compiler knows: layers, lengths, coroutine rules, tables and file
names in the documents. Each finding is one line: file:line: rule: what is wrong. --fix rewrites the
table of modules in README.md.

examples:
  ./dev tidy
  ./dev tidy --fix
TEXT
}

# Files of the repository, tracked or about to be, whose names match the patterns.
our_files() {
    local file
    git ls-files --cached --others --exclude-standard -- "$@" | while read -r file; do
        [[ ! -f $file ]] || printf '%s\n' "$file"
    done
}

verb_fmt() {
    local files
    mapfile -t files < <(our_files '*.cc' '*.h')
    case ${1:-} in
        --check)
            clang-format-19 --dry-run --Werror "${files[@]}" 2>&1 |
                awk -F: '/-Wclang-format-violations/ && !seen[$1]++ { print $1 ": not formatted; ./dev fmt" }' >&2
            ;;
        "") clang-format-19 -i "${files[@]}" ;;
        *) die "fmt knows only --check" ;;
    esac
}

verb_tidy() {
    build_preset release hearth_tidy
    our_files | build/release/hearth_tidy --modules build/release/modules.txt "$@"
}

# The scripts themselves; those in scripts/ are read through dev, which sources them.
check_scripts() {
    local files
    mapfile -t files < <(our_files .ci/run 'tests/*.sh' 'bench/*.sh')
    shellcheck --external-sources --check-sourced dev || return 1
    shellcheck --external-sources "${files[@]}"
}

# clang-tidy over every source of ours, several at a time: nearly all of its time goes into the
# headers they share.
lint() {
    build_preset lint unicode_tables
    run-clang-tidy-19 -p build/lint -quiet -j "$JOBS" >build/lint.log 2>&1 || {
        grep -E '(error|warning):' build/lint.log | sort -u | head -n 40 >&2
        return 1
    }
}
