#!/bin/bash
# A private PostgreSQL cluster on a free loopback port and a Unix socket.
#
#   tests/env/postgres.sh start DIR      create it when DIR is new, start, wait until it answers
#   tests/env/postgres.sh stop DIR       fast stop; the data stay
#   tests/env/postgres.sh immediate DIR  immediate-mode stop: as after a crash
#   tests/env/postgres.sh restart DIR    fast stop and start, same port and data
#   tests/env/postgres.sh destroy DIR    immediate stop, and the data are removed
#
# DIR/env says: postgres=postgresql://..., port=, socket_dir=, place=.  DIR/log is the server's log.
# FAST=1 at the first start: no fsync, for unit tests.  The database is `tripmeter`, its user
# `tripmeter` is superuser, the password is in the connection string.
#
# initdb refuses root, and the account used instead may not reach the checkout (/root/...); also
# a socket's path is limited to 107 bytes.  So the cluster lives in a short directory of its own
# under /tmp that DIR/place points to; `destroy` removes it.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"

usage="usage: postgres.sh start|stop|immediate|restart|destroy DIR"
[ $# = 2 ] || die "$usage"
mkdir -p "$2"
dir=$(cd "$2" && pwd)
place=$(from_env "$dir" place)
bin=$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)
[ -n "$bin" ] || bin=$(dirname "$(command -v initdb)") || die "PostgreSQL's server is not installed"

# Runs a server program as somebody who is not root, from a directory everybody may enter.
run() {
    local who=postgres
    if [ "$(id -u)" != 0 ]; then
        (cd / && "$@")
        return
    fi
    id -u $who >/dev/null 2>&1 || who=nobody
    (cd / && setpriv --reuid=$who --regid="$(id -g $who)" --clear-groups -- "$@")
}

fail() {
    printf -- '--- the end of %s\n' "$place/log" >&2
    tail -n 30 "$place/log" >&2 2>/dev/null || true
    die "$*"
}

# The server's process names the directory in its command line.  Its pid file alone proves nothing:
# after a SIGKILL the number may be another's, or a zombie's where nobody collects them.
running() {
    local pid
    [ -n "$place" ] && pid=$(head -n 1 "$place/data/postmaster.pid" 2>/dev/null) || return 1
    { tr '\0' '\n' <"/proc/$pid/cmdline" | grep -qxF "$place/data"; } 2>/dev/null && return 0
    # PostgreSQL would take such a process for the server.
    [ ! -d "/proc/$pid" ] || rm -f "$place/data/postmaster.pid" "$place"/.s.PGSQL.*.lock
    return 1
}

create() {
    local password
    password=$("$PYTHON" -c 'import secrets; print(secrets.token_hex(16))')
    place=$(mktemp -d /tmp/tripmeter-postgres.XXXXXX)
    printf '%s\n' "$password" >"$place/password"
    : >"$place/log"
    [ "$(id -u)" != 0 ] || chown -R "$(run id -u):$(run id -g)" "$place"
    run "$bin/initdb" -D "$place/data" -U tripmeter --auth=scram-sha-256 \
        --pwfile="$place/password" -E UTF8 --locale=C --no-sync >>"$place/log" 2>&1 ||
        fail "initdb failed"
    run tee -a "$place/data/postgresql.conf" >/dev/null <<EOC
listen_addresses = '127.0.0.1'
unix_socket_directories = '$place'
max_connections = 200
log_line_prefix = '%m [%p] %a '
timezone = 'UTC'
EOC
    [ -z "${FAST:-}" ] || run tee -a "$place/data/postgresql.conf" >/dev/null <<EOC
fsync = off
synchronous_commit = off
full_page_writes = off
EOC
    ln -sfn "$place/log" "$dir/log"
    remember "$(free_ports 1)"
}

remember() {
    [ -n "$1" ] || die "no free port on 127.0.0.1"
    write_env "$dir" \
        "postgres=postgresql://tripmeter:$(cat "$place/password")@127.0.0.1:$1/tripmeter" \
        "port=$1" "socket_dir=$place" "place=$place"
}

# The database is made at the first start; asking again does no harm.
create_database() {
    export PGPASSWORD PGHOST=127.0.0.1 PGPORT PGUSER=tripmeter
    PGPASSWORD=$(cat "$place/password")
    PGPORT=$(from_env "$dir" port)
    "$bin/psql" -qXAt -d postgres -c "SELECT 1 FROM pg_database WHERE datname = 'tripmeter'" |
        grep -q 1 || "$bin/createdb" tripmeter
}

start() {
    local try

    ! running || return 0
    [ -n "$place" ] && [ -f "$place/data/PG_VERSION" ] && [ -f "$place/password" ] || create
    for try in 1 2 3 4 5; do
        if run "$bin/pg_ctl" -s -w -t 60 -D "$place/data" -l "$place/log" \
            -o "-p $(from_env "$dir" port)" start >/dev/null 2>&1; then
            create_database
            return
        fi
        # Somebody took the port.  A new cluster may have another; an old one keeps its own.
        tail -n 20 "$place/log" | grep -q 'Address already in use' || break
        [ -e "$dir/used" ] || remember "$(free_ports 1)"
        sleep "$try"
    done
    fail "PostgreSQL did not start"
}

stop() {
    ! running || run "$bin/pg_ctl" -s -w -t 60 -D "$place/data" -m "$1" stop ||
        fail "PostgreSQL did not stop"
}

case $1 in
start)
    start
    touch "$dir/used"
    ;;
stop) stop fast ;;
immediate) stop immediate ;;
restart)
    stop fast
    start
    ;;
destroy)
    stop immediate
    case $place in /tmp/tripmeter-postgres.*) rm -rf "$place" ;; esac
    rm -f "$dir/env" "$dir/log" "$dir/used"
    ;;
*) die "$usage" ;;
esac
