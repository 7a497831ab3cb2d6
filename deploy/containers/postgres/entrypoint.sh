# As the official image has it: POSTGRES_USER and POSTGRES_PASSWORD, the server's options after the word `postgres`.
set -eu
data=/var/lib/postgresql/data
if [ ! -s "$data/PG_VERSION" ]; then
    umask 077
    printf %s "$POSTGRES_PASSWORD" > /tmp/password
    initdb --pgdata="$data" --username="${POSTGRES_USER:-postgres}" --pwfile=/tmp/password --no-sync \
        --encoding=UTF8 --locale=C.UTF-8 --auth=scram-sha-256
    rm /tmp/password
    echo "host all all all scram-sha-256" >> "$data/pg_hba.conf"
fi
shift
exec postgres -D "$data" -c listen_addresses='*' "$@"
