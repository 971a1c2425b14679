# shellcheck shell=bash
# System packages. One list serves Debian 12, Debian 13 and Ubuntu 24.04; Debian 12 takes Boost from
# backports.

PACKAGES_BUILD=(
    clang-19 clang-tidy-19 clang-format-19 lld-19 libclang-rt-19-dev libomp-19-dev
    cmake ninja-build ccache git ca-certificates unzip python3-pip
    libboost1.83-dev libboost-json1.83-dev libfmt-dev libspdlog-dev libcli11-dev libyaml-cpp-dev
    prometheus-cpp-dev libssl-dev zlib1g-dev libicu-dev libgtest-dev libgomp1
)
# What only tests and benchmarks use; installed when they run.
PACKAGES_TEST=(python3-venv curl)
PACKAGES_BENCH=(nginx-light wrk python3-venv curl)
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

APT_LOG=${TMPDIR:-/tmp}/hearth-apt.$EUID.log
apt_get() {
    local label=$1
    shift
    local options=(-y -o APT::Status-Fd=1 -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300)
    : >"$APT_LOG"
    as_root env DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get "${options[@]}" "$@" </dev/null 2>&1 |
        tee -a "$APT_LOG" |
        apt_percent |
        show_progress "$label" || {
        log_tail "$APT_LOG"
        return 1
    }
}

# Adds the backports suite beside the main archive, as a copy of the entry apt already has for it:
# the same address, the same key.
add_backports() {
    local codename entry file
    codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
    # shellcheck disable=SC2016  # apt fills these in
    entry=$(apt-get indextargets --format '$(RELEASE)|$(COMPONENT)|$(REPO_URI)|$(SOURCESENTRY)' \
        'Created-By: Packages' | awk -F'|' -v release="$codename" '$1 == release && $2 == "main"' | head -n 1)
    [[ -n $codename && -n $entry ]] ||
        die "no package named $1, and apt has no main archive for \"$codename\" whose backports could be added"
    file=${entry##*|}
    step "adding the suite $codename-backports for: $1"
    if [[ ${file%:*} == *.sources ]]; then
        backports_stanza "$codename" "${file%:*}" |
            as_root tee /etc/apt/sources.list.d/hearth-backports.sources >/dev/null
    else
        backports_line "$codename" "${file%:*}" |
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
