# shellcheck shell=bash disable=SC2034 # other files use what is set here
# A folder for what is fetched or built once and kept. Source it after common.sh.

cache=${PARLEY_CACHE:-${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/parley}

# One script at a time works on the cache; the lock is let go by unlock_cache or when the script ends.
lock_cache() {
    mkdir -p "$cache/log" || die "cannot write to the cache $cache"
    exec 8>"$cache/lock"
    flock -n 8 || {
        say "another script is working on $cache: waiting for it"
        flock -w 3600 8 || die "another script has held $cache/lock for an hour"
    }
}
unlock_cache() { exec 8>&-; }
