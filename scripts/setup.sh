# shellcheck shell=bash
# ./dev setup: from a bare machine to one that can build. What is already there costs nothing.

# shellcheck source=scripts/packages.sh
source scripts/packages.sh
# shellcheck source=scripts/pins.sh
source scripts/pins.sh
# shellcheck source=scripts/llama.sh
source scripts/llama.sh

help_setup() {
    cat <<'TEXT'
usage: ./dev setup

Installs what is missing, and only that: system packages (as root or through sudo), the pinned
packages of third_party.lock, the default model, and llama.cpp's programs, built once.
Works on Debian 12, Debian 13 and Ubuntu 24.04. Interrupted, it goes on where it stopped.

  HEARTH_PREFIX   where the pinned things go (default ~/.cache/hearth/prefix); clones share it

examples:
  ./dev setup
  HEARTH_PREFIX=/opt/hearth ./dev setup
TEXT
}

# Changes whenever anything that setup would do changes.
setup_key() {
    { cat "$LOCK_FILE" scripts/packages.sh scripts/pins.sh scripts/llama.sh cmake/llama_build.cmake /etc/os-release
      uname -m
      grep -m1 -E '^(flags|Features)' /proc/cpuinfo || true
      find_nvcc; } | sha256sum | cut -c1-16
}

setup_if_needed() {
    if [[ -z $(missing_packages "${PACKAGES_BUILD[@]}") ]] && is_done setup "$(setup_key)" &&
        [[ -x $HEARTH_PREFIX/bin/llama-server && -e $HEARTH_PREFIX/models/all-minilm/model.safetensors ]]; then
        return 0
    fi
    run_setup
}

run_setup() {
    local started=$EPOCHSECONDS
    mkdir -p "$HEARTH_PREFIX" 2>/dev/null || die "the folder $HEARTH_PREFIX cannot be made; set HEARTH_PREFIX"
    exec {setup_lock}>"$HEARTH_PREFIX/.lock"
    if ! flock -n "$setup_lock"; then
        say "   another setup is running; waiting for it"
        flock "$setup_lock"
    fi
    ensure_packages "${PACKAGES_BUILD[@]}"
    ensure_pins
    ensure_llama
    mark_done setup "$(setup_key)"
    exec {setup_lock}>&-
    say "   setup is complete ($(elapsed "$started"))"
}

verb_setup() {
    setup_if_needed
    say "   nothing is missing; pinned things are in $HEARTH_PREFIX"
}
