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

# make_environment FOLDER [EXTRA...]: for example make_environment .venv dev
# Installs what requirements/ pins: every file must have one of the digests there, and nothing is built but Facet itself.
# A file installed-EXTRA in the folder holds what the extra was installed from, so that the next call can skip it.
make_environment() {
    local venv=$1 python extra files=()
    is_marked "$@" && return
    shift
    for extra in base build "$@"; do files+=(--requirement "requirements/$extra.txt"); done
    python=$(find_python) || return
    [ -x "$venv/bin/python" ] || "$python" -m venv "$venv" || {
        echo "cannot make $venv; on Debian and Ubuntu: apt-get install python3-venv" >&2
        return 1
    }
    echo "installing into $venv (a minute or two)" >&2
    # The files list all that is needed, and leave out opencv-python: see [tool.uv] in pyproject.toml.
    pip_install "$venv" --no-deps --require-hashes --only-binary :all: "${files[@]}" || return
    pip_install "$venv" --no-deps --no-build-isolation --editable . || return
    for extra in "$@" base; do made_from > "$venv/installed-$extra"; done
}

# pip_install FOLDER ARGUMENTS...
pip_install() {
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check "${@:2}" >&2
}

# is_marked FOLDER [EXTRA...]: true if the files installed-EXTRA say that nothing has changed since.
is_marked() {
    local venv=$1 wanted extra
    wanted=$(made_from)
    shift
    for extra in "$@" base; do
        [ -f "$venv/installed-$extra" ] && [ "$(cat "$venv/installed-$extra")" = "$wanted" ] || return
    done
}

# made_from: what an environment is made from.
made_from() {
    cat pyproject.toml requirements/*.txt | cksum
    pwd
}

# unmark_incomplete FOLDER [EXTRA...]: removes the marks of these extras if a package that they or Facet itself require
# is missing or of another version than required, so that make_environment installs it.
unmark_incomplete() {
    local venv=$1 extra
    shift
    [ -x "$venv/bin/python" ] || return 0
    is_complete "$venv/bin/python" "$@" && return
    for extra in "$@" base; do rm -f "$venv/installed-$extra"; done
}

# is_complete PYTHON [EXTRA...]
is_complete() {
    "$1" - "${@:2}" <<'PYTHON'
import sys
from importlib.metadata import requires, version

FACET = "facet-recognition"

def is_complete(extras):
    from packaging.requirements import Requirement

    for each in map(Requirement, requires(FACET)):
        if each.marker and not any(each.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            continue
        if each.name == FACET:
            if not is_complete(each.extras):
                return False
        elif not each.specifier.contains(version(each.name), prereleases=True):
            return False
    return True

try:
    sys.exit(not is_complete(sys.argv[1:]))
except ImportError:  # the error of a package that is not found is one
    sys.exit(1)
PYTHON
}
