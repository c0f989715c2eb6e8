#!/bin/sh
# Starts Redis with the users of config/redis, their passwords taken from the environment: every process of the machine
# could read them on a command line. Passwords are letters, digits, - and _ (docker/env.example).
set -eu
for password in "$PARLEY_WORKER_PASSWORD" "$PARLEY_PRODUCER_PASSWORD" "$PARLEY_OPERATOR_PASSWORD"; do
    case $password in
        '' | *[!A-Za-z0-9_-]*)
            echo "PARLEY_WORKER_PASSWORD, PARLEY_PRODUCER_PASSWORD and PARLEY_OPERATOR_PASSWORD may hold letters, digits, - and _ only" >&2
            exit 2
            ;;
    esac
done
# Other users of the file, whose passwords are their names, get ones that nobody knows.
unknown=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
umask 077
{
    sed -e "s/ >parley / >$PARLEY_WORKER_PASSWORD /" -e "s/ >producer / >$PARLEY_PRODUCER_PASSWORD /" \
        -e "s/ >operator / >$PARLEY_OPERATOR_PASSWORD /" \
        -e "s/ >\(shop-eu\|shop-us\|support\) / >$unknown /" /parley/users.acl
    # For the container's own health check.
    echo 'user health on nopass resetkeys resetchannels -@all +ping'
} >/run/users.acl
chown redis /run/users.acl
exec docker-entrypoint.sh redis-server --aclfile /run/users.acl --appendonly yes
