# shellcheck shell=bash disable=SC2034 # other files use what is set here
# Python packages in virtual environments, made once and kept in the cache. Source it after common.sh.

# shellcheck source=scripts/lib/cache.sh
. "$root/scripts/lib/cache.sh"

python=${PARLEY_PYTHON:-python3}

ensure_python() {
    if command -v "$python" >/dev/null 2>&1; then
        "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
            die "$("$python" --version) is too old: Python 3.10 or later is needed"
        "$python" -c 'import venv, ensurepip' 2>/dev/null && return 0
    fi
    ensure_packages python3 python3-venv
}

# python_environment NAME PACKAGE...: the virtual environment $cache/venv/NAME with exactly these packages asked for.
python_environment() {
    local dir=$cache/venv/$1 wanted status=0
    shift
    ensure_python
    wanted=$(printf '%s\n' "$@"; "$python" --version)
    lock_cache
    if [ ! -f "$dir/wanted" ] || [ "$(cat "$dir/wanted")" != "$wanted" ]; then
        rm -rf "$dir"
        mkdir -p "$(dirname "$dir")"
        { "$python" -m venv "$dir" 8>&- &&
            step "installing $* from PyPI" "$dir/bin/pip" install --disable-pip-version-check -q "$@" 8>&-; } || status=1
        [ "$status" -ne 0 ] || printf '%s' "$wanted" >"$dir/wanted"
    fi
    unlock_cache
    return "$status"
}
