# Sourced by the shell scripts beside it. make_environment creates a virtual environment or brings it up to date.

# help_asked "$@": true if the first argument asks for help, which needs no environment.
help_asked() {
    [[ ${1-} == -h || ${1-} == --help ]]
}

find_python() {
    local name
    for name in python3 python3.13 python3.12 python3.11 python3.14 python; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    echo "Facet needs Python 3.11 or newer, and there is none on the PATH" >&2
    return 1
}

# make_environment FOLDER CONSTRAINTS [EXTRA...]: for example make_environment .venv constraints.txt dev
# A file installed-EXTRA in the folder holds what the extra was installed from, so that the next call can skip it.
make_environment() {
    local venv=$1 constraints=$2 python wanted extras
    shift 2
    extras=$(IFS=,; echo "$*")
    wanted=$(cat pyproject.toml "$constraints"; pwd)
    local extra
    for extra in "$@" base; do
        [ -f "$venv/installed-$extra" ] && [ "$(cat "$venv/installed-$extra")" = "$wanted" ] && continue
        python=$(find_python) || return
        [ -x "$venv/bin/python" ] || "$python" -m venv "$venv" || {
            echo "cannot make $venv; on Debian and Ubuntu: apt-get install python3-venv" >&2
            return 1
        }
        echo "installing into $venv (a minute or two)" >&2
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
            --constraint "$constraints" --editable ".${extras:+[$extras]}" >&2 || return
        keep_headless_opencv "$venv/bin/python" || return
        for extra in "$@" base; do printf '%s\n' "$wanted" > "$venv/installed-$extra"; done
        return
    done
}

# The packages insightface and ultralytics require opencv-python. It writes the same folder cv2 as
# opencv-python-headless, and needs libGL and libxcb, which servers and containers lack. The headless build has all
# that they and Facet use.
keep_headless_opencv() {
    local python=$1 version
    version=$("$python" -c 'import importlib.metadata as m; print(m.version("opencv-python"))' 2>/dev/null) || return 0
    "$python" -m pip uninstall --quiet --disable-pip-version-check --yes opencv-python >&2 || return
    "$python" -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall \
        "opencv-python-headless==$version" >&2
}
