# shellcheck shell=bash
# System packages. One list serves Debian 12, Debian 13 and Ubuntu 24.04; Debian 12 takes Boost from
# backports.

PACKAGES_BUILD=(
    clang-19 clang-tidy-19 clang-format-19 lld-19 libclang-rt-19-dev libomp-19-dev
    cmake ninja-build ccache git ca-certificates unzip python3-pip
    libboost1.83-dev libboost-json1.83-dev libboost-url1.83-dev libsimdjson-dev libzstd-dev libxxhash-dev libfmt-dev libspdlog-dev libcli11-dev libyaml-cpp-dev
    prometheus-cpp-dev libssl-dev libcurl4-openssl-dev zlib1g-dev libedit-dev libicu-dev libgtest-dev libgomp1
)
# What only tests and benchmarks use; installed when they run.
PACKAGES_TEST=(python3-venv curl jq)
PACKAGES_BENCH=(nginx-light wrk python3-venv curl jq)
PACKAGES_CHECK=(shellcheck)

# missing_packages NAME...: those that are not installed.
missing_packages() {
    local installed name
    installed=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || true)
    for name in "$@"; do
        [[ $'\n'$installed$'\n' == *$'\n'"installed $name"$'\n'* ]] || printf '%s\n' "$name"
    done
}

ensure_packages() {
    local missing
    mapfile -t missing < <(missing_packages "$@")
    ((${#missing[@]})) || return 0
    command -v apt-get >/dev/null ||
        die "these packages are missing and there is no apt-get to install them: ${missing[*]}"
    refresh_index_for "${missing[@]}"
    step "installing ${#missing[@]} system packages: ${missing[*]}"
    apt_get "installing packages" install --no-install-recommends "${missing[@]}" ||
        die "the system packages could not be installed; the log is $APT_LOG"
}

# The package index is refreshed when it does not know all the names, and backports are added when
# even a fresh index does not.
refresh_index_for() {
    local unknown
    unknown=$(unknown_packages "$@")
    [[ -n $unknown ]] || return 0
    step "refreshing the package index"
    apt_get "package index" update || die "the package index could not be refreshed; the log is $APT_LOG"
    unknown=$(unknown_packages "$@")
    [[ -n $unknown ]] || return 0
    add_backports "${unknown//$'\n'/ }"
    apt_get "package index" update || die "the backports index could not be fetched; the log is $APT_LOG"
    unknown=$(unknown_packages "$@")
    [[ -z $unknown ]] || die "this distribution has no package named: ${unknown//$'\n'/ }"
}

# Names for which apt has no candidate.
unknown_packages() {
    LC_ALL=C apt-cache policy -- "$@" 2>/dev/null | awk -v names="$*" '
        /^[^ ].*:$/ { name = substr($0, 1, length($0) - 1) }
        /^  Candidate:/ && $2 != "(none)" { known[name] = 1 }
        END { n = split(names, all, " "); for (i = 1; i <= n; ++i) if (!(all[i] in known)) print all[i] }'
}

# apt's status lines, dlstatus:package:percent:text, as "percent package".
apt_percent() {
    local line
    while read -r line; do
        [[ ! $line =~ ^(dl|pm)status:([^:]*)(:[a-z0-9]+)?:([0-9]+) ]] ||
            printf '%s %s\n' "${BASH_REMATCH[4]}" "${BASH_REMATCH[2]}"
    done
}

# apt reports to a pipe of its own: it makes the descriptor non-blocking, and a package's scripts that
# wrote to the same one would fail.
APT_LOG=$HEARTH_PREFIX/apt.log
apt_get() {
    local label=$1 folder reader status=0
    shift
    folder=$(mktemp -d)
    mkfifo "$folder/status"
    apt_percent <"$folder/status" | show_progress "$label" &
    reader=$!
    # shellcheck disable=SC2016  # the inner shell, which may be root's, opens the pipe
    as_root env DEBIAN_FRONTEND=noninteractive LC_ALL=C bash -c 'exec 3>"$0" && exec apt-get "$@"' \
        "$folder/status" -y -o APT::Status-Fd=3 -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@" \
        </dev/null >"$APT_LOG" 2>&1 || status=$?
    # Should nobody have opened the pipe for writing, the reader still waits for that.
    : 3<>"$folder/status"
    wait "$reader" || true
    rm -rf "$folder"
    ((status == 0)) || log_tail "$APT_LOG"
    return $status
}

# Adds the backports suite beside the main archive, as a copy of the entry apt already has for it:
# the same address, the same key.
add_backports() {
    local codename suites entry file
    codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
    # shellcheck disable=SC2016  # apt fills these in
    suites=$(apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(SOURCESENTRY)' 'Created-By: Packages')
    entry=$(awk -v suite="$codename" '$1 == suite && $2 == "main" { print $3; exit }' <<<"$suites")
    if [[ -z $entry || $'\n'$suites == *$'\n'"$codename-backports "* ]]; then
        die "this distribution has no package named: $1"
    fi
    file=${entry%:*}
    step "adding the suite $codename-backports for: $1"
    if [[ $file == *.sources ]]; then
        backports_stanza "$codename" "$file" |
            as_root tee /etc/apt/sources.list.d/hearth-backports.sources >/dev/null
    else
        backports_line "$codename" "$file" |
            as_root tee /etc/apt/sources.list.d/hearth-backports.list >/dev/null
    fi
}

# The first stanza of a deb822 file that offers suite $1, offering its backports instead.
backports_stanza() {
    awk -v suite="$1" -v RS= '
        $0 ~ "(^|\n)Suites:[^\n]*[ \t]" suite "([ \t\n]|$)" && $0 ~ /(^|\n)Types:[^\n]*deb/ {
            sub(/(^|\n)Suites:[^\n]*/, "\nSuites: " suite "-backports")
            sub(/^\n/, ""); print; exit
        }' "$2"
}

# The first one-line entry of a file that offers suite $1, offering its backports instead.
backports_line() {
    sed -nE "/^deb[[:space:]].*[[:space:]]$1[[:space:]]/{s/([[:space:]])$1([[:space:]])/\1$1-backports\2/p;q}" "$2"
}
