# Sourced by scripts/run and the scripts of tests: make_environment makes .venv, or brings it up to date.

# help_asked "$@": whether the first argument asks for help, which needs no environment.
help_asked() {
    [[ ${1-} == -h || ${1-} == --help ]]
}

find_python() {
    local name
    for name in python3 python3.14 python3.13 python3.12 python3.11 python; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    echo "Facet needs Python 3.11 or newer, and there is none on the PATH" >&2
    return 1
}

# make_environment FOLDER CONSTRAINTS EXTRAS...: e.g. make_environment .venv constraints.txt dev
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
        need_opencv "$venv" || return
        for extra in "$@" base; do printf '%s\n' "$wanted" > "$venv/installed-$extra"; done
        return
    done
}

# OpenCV's desktop build wants libGL, which servers and containers lack; the headless build of the same version
# has all that Facet uses.
need_opencv() {
    local python=$1/bin/python version
    "$python" -c 'import cv2' 2>/dev/null && return
    version=$("$python" -c 'import importlib.metadata as m; print(m.version("opencv-python"))') || return
    echo "OpenCV's desktop build does not load here; installing its headless build" >&2
    "$python" -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall \
        "opencv-python-headless==$version" >&2 || return
    "$python" -c 'import cv2'
}
