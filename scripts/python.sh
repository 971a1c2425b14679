# shellcheck shell=bash
# Environments of Python for the tests and benches that need one.

# python_environment NAME REQUIREMENTS: its interpreter. Each is kept under the hash of what pins
# it, and made anew when it is not complete.
python_environment() {
    local name=$1 requirements=$2 key folder
    key=$(sha256sum "$requirements" | cut -c1-16)
    folder=${XDG_CACHE_HOME:-$HOME/.cache}/hearth/$name-venv-$key
    if [[ ! -e $folder/complete ]]; then
        echo "installing $requirements, once, into $folder" >&2
        # Each step by itself: bash does not end a command substitution at what fails within.
        rm -rf "$folder" &&
            python3 -m venv "$folder" &&
            "$folder/bin/pip" install --quiet --disable-pip-version-check -r "$requirements" >&2 &&
            touch "$folder/complete" || return 1
    fi
    echo "$folder/bin/python"
}
