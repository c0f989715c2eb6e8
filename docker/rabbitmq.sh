#!/bin/sh
# Starts RabbitMQ with the development definitions, the users' passwords taken from the environment.
# Passwords are letters, digits, - and _ (docker/env.example): nothing that JSON or sed reads as its own.
set -eu
for password in "$PARLEY_WORKER_PASSWORD" "$PARLEY_PRODUCER_PASSWORD" "$PARLEY_OPERATOR_PASSWORD"; do
    case $password in
        '' | *[!A-Za-z0-9_-]*)
            echo "PARLEY_WORKER_PASSWORD, PARLEY_PRODUCER_PASSWORD and PARLEY_OPERATOR_PASSWORD may hold letters, digits, - and _ only" >&2
            exit 2
            ;;
    esac
done
# The example tenants' users, whose passwords are their names, get ones that nobody knows.
unknown=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
umask 077
sed -e "s/\"password\": \"parley\"/\"password\": \"$PARLEY_WORKER_PASSWORD\"/" \
    -e "s/\"password\": \"producer\"/\"password\": \"$PARLEY_PRODUCER_PASSWORD\"/" \
    -e "s/\"password\": \"operator\"/\"password\": \"$PARLEY_OPERATOR_PASSWORD\"/" \
    -e "s/\"password\": \"shop-\(eu\|us\)\"/\"password\": \"$unknown\"/" \
    /parley/definitions.json >/etc/rabbitmq/definitions.json
chown rabbitmq:rabbitmq /etc/rabbitmq/definitions.json
exec docker-entrypoint.sh rabbitmq-server
