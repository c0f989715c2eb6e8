# shellcheck shell=bash disable=SC2034 # other files use what is set here
# Installs what is missing, with apt-get. Source it after common.sh.

build_packages=(librabbitmq-dev libhiredis-dev libcurl4-openssl-dev zlib1g-dev libzstd-dev libhnswlib-dev libpq-dev g++ pkg-config)
server_packages=(rabbitmq-server redis-server)
tool_packages=(openssl curl jq ca-certificates)
# The tests' peer for HTTP/2, clocks that can be set back, what reads PDF; and in CI what reads Word, which is large: elsewhere its
# test is skipped without it.
test_packages=(nghttp2-server faketime poppler-utils)
[ -z "${CI-}" ] || test_packages+=(pandoc)

# ensure_packages PACKAGE...: returns at once when all are there. On systems without dpkg it trusts the reader.
ensure_packages() {
    command -v dpkg-query >/dev/null 2>&1 || {
        say "this is no Debian or Ubuntu: make sure the equivalents of these are installed: $*"
        return 0
    }
    local missing=() name have install
    install="$(declare -f install_without_services)
        install_without_services \"\$@\""
    # `|| true`: dpkg-query fails when a package is unknown, and names the others all the same.
    have=" $(dpkg-query -W -f '${Package}=${db:Status-Status} ' "$@" 2>/dev/null || true) "
    for name in "$@"; do
        case $have in *" $name=installed "*) ;; *) missing+=("$name") ;; esac
    done
    [ ${#missing[@]} -gt 0 ] || return 0

    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null 2>&1 ||
            die "these packages are missing; install them as root: apt-get install ${missing[*]}"
        [ -t 0 ] || sudo -n true 2>/dev/null ||
            die "these packages are missing; install them: sudo apt-get install ${missing[*]}"
        sudo -v
        as_root=(sudo)
    fi
    # The lists are fetched only when they do not know the package, or know a version that is gone: that is slow.
    if ! apt-cache show "${missing[@]}" >/dev/null 2>&1 ||
        ! step "installing ${missing[*]}" ${as_root[@]+"${as_root[@]}"} bash -c "$install" install "${missing[@]}"; then
        if ! step "reading package lists" ${as_root[@]+"${as_root[@]}"} apt-get update -q ||
            ! step "installing ${missing[*]}" ${as_root[@]+"${as_root[@]}"} bash -c "$install" install "${missing[@]}"; then
            die "could not install; as root: apt-get update && apt-get install ${missing[*]}"
        fi
    fi
}

# A freshly installed RabbitMQ or Redis would start at once, on the standard ports and for good. policy-rc.d says no
# while the installation lasts; one that an administrator put there stays as it is.
install_without_services() {
    set -eu
    # One at a time: the first to end would take the policy away from the second.
    if exec 7>/run/lock/parley-install; then flock 7; fi
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        trap 'exit 143' TERM INT HUP
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"
}

# ensure_swift: Swift 6.3 or later.
ensure_swift() {
    local shown version
    command -v swift >/dev/null 2>&1 ||
        die "swift is not on PATH: install Swift 6.3 or later (https://www.swift.org/install/linux/)"
    shown=$(swift --version 2>/dev/null | grep -m1 -o 'Swift version [0-9][0-9.]*' || true)
    version=${shown#Swift version }
    [ -n "$version" ] || die "'swift --version' did not say a version"
    [ "$(printf '%s\n' 6.3 "$version" | sort -V | head -n 1)" = 6.3 ] ||
        die "swift is $version: Swift 6.3 or later is needed (https://www.swift.org/install/linux/)"
}

ensure_build() {
    ensure_swift
    ensure_packages "${build_packages[@]}" "${tool_packages[@]}"
}

ensure_everything() {
    ensure_swift
    ensure_packages "${build_packages[@]}" "${server_packages[@]}" "${tool_packages[@]}"
}
