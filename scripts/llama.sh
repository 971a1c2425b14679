# shellcheck shell=bash
# llama.cpp's programs, built once from the source that the npm package node-llama-cpp carries.

LLAMA_PROGRAMS=(
    llama-server llama-quantize llama-bench llama-fit-params llama-perplexity llama-imatrix ggml-rpc-server
)
# Vocabularies, chat templates and the server's own tests, which the tests here use.
LLAMA_SHARED=(
    models/ggml-vocab-qwen2.gguf models/ggml-vocab-bert-bge.gguf models/templates tools/server/tests
)
LLAMA_BUILD=$HEARTH_PREFIX/build/llama
LLAMA_LOG=$HEARTH_PREFIX/build/llama.log

find_nvcc() {
    command -v nvcc || { [[ -x /usr/local/cuda/bin/nvcc ]] && printf '/usr/local/cuda/bin/nvcc'; } || true
}

# The programs are tuned to this processor: another one, or another compiler or toolkit, builds anew.
llama_key() {
    pin node-llama-cpp
    { printf '%s\n' "$pin_hash" "$(find_nvcc)" "$(uname -m)"
      grep -m1 -E '^(flags|Features)' /proc/cpuinfo || true
      cat scripts/llama.sh cmake/llama_build.cmake; } | sha256sum | cut -c1-16
}

ensure_llama() {
    local key started=$EPOCHSECONDS
    key=$(llama_key)
    if is_done llama "$key" && [[ -x $HEARTH_PREFIX/bin/llama-server ]]; then return 0; fi
    # A build that was interrupted goes on where it stopped.
    if [[ ! -f $LLAMA_BUILD/key || $(<"$LLAMA_BUILD/key") != "$key" ]]; then unpack_llama "$key"; fi
    step "building llama.cpp (once; $JOBS jobs; log: $LLAMA_LOG)"
    configure_llama >"$LLAMA_LOG" 2>&1 || llama_failed
    compile_llama || llama_failed
    install_llama
    mark_done llama "$key"
    rm -rf "$LLAMA_BUILD"
    say "   llama.cpp built in $(elapsed "$started")"
}

llama_failed() {
    log_tail "$LLAMA_LOG"
    die "llama.cpp could not be built; the log is $LLAMA_LOG"
}

unpack_llama() {
    ensure_node
    pin node-llama-cpp
    step "fetching node-llama-cpp $pin_version (the source of llama.cpp)"
    rm -rf "$LLAMA_BUILD"
    with_scratch unpack_llama_source
    printf '%s' "$1" >"$LLAMA_BUILD/key"
}

unpack_llama_source() {
    local archive
    archive=$(fetch node-llama-cpp "$1")
    tar -xzf "$archive" -C "$1" package/llama/gitRelease.bundle ||
        die "$(basename "$archive") holds no llama.cpp source"
    git -c advice.detachedHead=false clone --quiet "$1/package/llama/gitRelease.bundle" "$1/source" 2>/dev/null ||
        die "the llama.cpp source bundle could not be unpacked"
    mkdir -p "$LLAMA_BUILD"
    mv "$1/source" "$LLAMA_BUILD/source"
}

# Static programs without TLS or a web page: Hearth speaks to them over a local socket. Nothing is
# downloaded while they build.
configure_llama() {
    local nvcc cuda=()
    nvcc=$(find_nvcc)
    [[ -z $nvcc ]] || cuda=(-DGGML_CUDA=ON "-DCMAKE_CUDA_COMPILER=$nvcc" -DCMAKE_CUDA_ARCHITECTURES=native)
    cmake -S "$LLAMA_BUILD/source" -B "$LLAMA_BUILD/out" -G Ninja \
        -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_COMPILER=clang-19 -DCMAKE_CXX_COMPILER=clang++-19 \
        -DCMAKE_EXE_LINKER_FLAGS=-fuse-ld=lld -DBUILD_SHARED_LIBS=OFF -DGGML_NATIVE=ON -DGGML_RPC=ON \
        -DGGML_CCACHE=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF \
        -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF \
        "-DCMAKE_PROJECT_llama.cpp_INCLUDE=$ROOT/cmake/llama_build.cmake" \
        -DLLAMA_ALL_WARNINGS=OFF -DGGML_ALL_WARNINGS=OFF -DMTMD_VIDEO=OFF "${cuda[@]}"
}

# Ninja's lines, "[done/all] what", as "percent file".
ninja_percent() {
    local line
    while read -r line; do
        [[ ! $line =~ ^\[([0-9]+)/([0-9]+)\]\ (.*) ]] ||
            printf '%d %s\n' $((100 * BASH_REMATCH[1] / BASH_REMATCH[2])) "${line##*/}"
    done
}

compile_llama() {
    NINJA_STATUS='[%f/%t] ' ninja -C "$LLAMA_BUILD/out" -j"$JOBS" "${LLAMA_PROGRAMS[@]}" 2>&1 |
        tee -a "$LLAMA_LOG" |
        ninja_percent |
        show_progress "llama.cpp"
}

install_llama() {
    local program
    mkdir -p "$HEARTH_PREFIX/bin"
    for program in "${LLAMA_PROGRAMS[@]}"; do
        install -m 755 -s "$LLAMA_BUILD/out/bin/$program" "$HEARTH_PREFIX/bin/$program.new"
        mv "$HEARTH_PREFIX/bin/$program.new" "$HEARTH_PREFIX/bin/$program"
    done
    rm -rf "$HEARTH_PREFIX/share/llama.cpp"
    mkdir -p "$HEARTH_PREFIX/share/llama.cpp"
    (cd "$LLAMA_BUILD/source" && cp -r --parents "${LLAMA_SHARED[@]}" "$HEARTH_PREFIX/share/llama.cpp")
}
