# shellcheck shell=bash disable=SC2034,SC2154 # other files use what is set here, and set what is used
# Another Debian in a folder of the cache, made by debootstrap: for what this system has in another version. Source it
# after common.sh and install.sh. Programs in it are run by scripts/lib/debian-run.

# shellcheck source=scripts/lib/cache.sh
. "$root/scripts/lib/cache.sh"

# debian_folder NAME CODENAME PACKAGE...: makes $cache/NAME, a Debian CODENAME with these packages, unless it is there;
# sets debian_root to it. Fails, with the reason said, when it cannot be had.
debian_root=
debian_folder() {
    local dir=$cache/$1 codename=$2 wanted mirror status=0
    shift 2
    if [ "$(id -u)" -ne 0 ]; then
        say "another Debian in a folder can be made and entered by root only: run this as root"
        return 1
    fi
    if ! unshare --mount true 2>/dev/null; then
        say "mounts are not permitted here, and another Debian needs some (in a container: --cap-add SYS_ADMIN)"
        return 1
    fi
    (ensure_packages debootstrap debian-archive-keyring) || return 1
    wanted=$(printf '%s\n' "$codename" "$@")
    lock_cache
    if [ ! -f "$dir/wanted" ] || [ "$(cat "$dir/wanted")" != "$wanted" ]; then
        # One file system: should something be mounted there after all, it stays.
        rm -rf --one-file-system "$dir" "$dir.new"
        mirror=$(debian_mirror)
        # In a mount namespace of its own, since it mounts /proc in there.
        step "fetching a Debian $codename for $(basename "$dir")" unshare --mount --propagation private \
            debootstrap --variant=minbase --include="$(IFS=, && printf '%s' "$*")" \
            --keyring=/usr/share/keyrings/debian-archive-keyring.gpg "$codename" "$dir.new" ${mirror:+"$mirror"} || status=1
        if [ "$status" -eq 0 ]; then
            rm -f "$dir.new"/var/cache/apt/archives/*.deb
            printf '%s' "$wanted" >"$dir.new/wanted"
            mv "$dir.new" "$dir"
        else
            rm -rf --one-file-system "$dir.new"
        fi
    fi
    unlock_cache
    debian_root=$dir
    return "$status"
}

# The mirror that this system's own packages come from; nothing when it is no Debian: then debootstrap knows one.
# shellcheck disable=SC2016 # apt-get's own $
debian_mirror() {
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' \
        'Component: main' 2>/dev/null | head -n 1
}

# use_rabbitmq 4: from here on, scripts and tests start RabbitMQ 4 instead of the one that is installed: the folder
# PARLEY_TEST_RABBITMQ_SBIN holds programs that stand in for its own. Fails, with the reason said, when it cannot be had.
use_rabbitmq() {
    local name
    [ "$1" = 4 ] || die "there is no way to get RabbitMQ $1 here, only 4"
    debian_folder rabbitmq-4 trixie ca-certificates rabbitmq-server || return 1
    export PARLEY_TEST_RABBITMQ_SBIN=$work/rabbitmq-4
    mkdir -p "$PARLEY_TEST_RABBITMQ_SBIN"
    for name in rabbitmq-server rabbitmqctl; do
        # Tests have their servers' data in the folder for temporary files.
        printf '#!/bin/bash\nexec %q %q --with %q /usr/lib/rabbitmq/bin/%s "$@"\n' \
            "$root/scripts/lib/debian-run" "$debian_root" "${TMPDIR:-/tmp}" "$name" \
            >"$PARLEY_TEST_RABBITMQ_SBIN/$name"
        chmod +x "$PARLEY_TEST_RABBITMQ_SBIN/$name"
    done
}

# use_valkey: from here on, scripts and tests start Valkey instead of Redis: this system's, or else Debian 13's, by the
# program that PARLEY_TEST_REDIS_SERVER names. Fails, with the reason said, when it cannot be had.
use_valkey() {
    PARLEY_TEST_REDIS_SERVER=$(command -v valkey-server) || {
        debian_folder valkey trixie ca-certificates valkey-server || return 1
        PARLEY_TEST_REDIS_SERVER=$work/valkey-server
        # Tests start it with a path of their own.
        printf '#!/bin/bash\nPATH=/usr/sbin:/usr/bin:/sbin:/bin exec %q %q --with %q /usr/bin/valkey-server "$@"\n' \
            "$root/scripts/lib/debian-run" "$debian_root" "${TMPDIR:-/tmp}" >"$PARLEY_TEST_REDIS_SERVER"
        chmod +x "$PARLEY_TEST_REDIS_SERVER"
    }
    export PARLEY_TEST_REDIS_SERVER
}

# prepare_debian 13: a Debian 13 with all that building and testing needs. Fails, with the reason said, when it cannot be
# had.
prepare_debian() {
    [ "$1" = 13 ] || die "there is no way to get Debian $1 here, only 13"
    # What Swift itself needs comes first.
    debian_folder debian-13 trixie binutils libc6-dev libstdc++-14-dev libedit2 libncurses6 libsqlite3-0 libxml2 tzdata \
        git python3-venv "${tool_packages[@]}" "${test_packages[@]}" "${build_packages[@]}" "${server_packages[@]}"
}

# run_in_debian COMMAND...: in the Debian that was prepared, with this system's Swift and this checkout. What it builds
# lies in PARLEY_BUILD, a folder of its own, since it is made for other libraries.
run_in_debian() {
    local swift toolchain shared
    swift=$(readlink -f "$(command -v swift)")
    toolchain=${swift%/usr/bin/*}
    [ -n "$toolchain" ] || die "Swift lies in /usr, of which the other Debian has its own: unpack it elsewhere"
    shared=(--with "${TMPDIR:-/tmp}" --with "$toolchain")
    # Dependencies that were fetched once are not fetched again.
    [ ! -d "$HOME/.cache/org.swift.swiftpm" ] || shared+=(--with "$HOME/.cache/org.swift.swiftpm")
    "$root/scripts/lib/debian-run" "$debian_root" "${shared[@]}" env -i HOME="$HOME" TERM="${TERM:-dumb}" LANG=C.UTF-8 \
        PATH="$toolchain/usr/bin:/usr/sbin:/usr/bin:/sbin:/bin" ${TMPDIR:+TMPDIR="$TMPDIR"} PARLEY_STRICT=1 \
        PARLEY_BUILD="$root/.build-$(basename "$debian_root")" ${CI:+CI="$CI"} \
        ${PARLEY_KEEP:+PARLEY_KEEP="$PARLEY_KEEP"} "$@"
}
