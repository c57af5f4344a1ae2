#!/bin/bash
# A real single-node Apache Kafka (KRaft) with its data, ports and log in one directory.
#
#   tests/env/kafka.sh start DIR    format DIR when it is new, start, wait until it listens
#   tests/env/kafka.sh wait DIR     wait until it listens
#   tests/env/kafka.sh stop DIR     SIGTERM and wait; the data stay
#   tests/env/kafka.sh kill DIR     SIGKILL
#   tests/env/kafka.sh restart DIR  stop, then start with the same ports and data
#
# DIR/env says: bootstrap=127.0.0.1:PORT, port=, controller_port=, pid=.  DIR/log is the log.
# A proxy that listens on proxy_port= and forwards to proxied_port= is passed by all its clients.
# secured_port= is for TLS and SASL/PLAIN as tripmeter, password "open sesame"; DIR/ca.pem vouches for it.
# The jars are in build/kafka-lib (tests/env/deps.sh test), or in $KAFKA_LIB.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"

usage="usage: kafka.sh start|wait|stop|kill|restart DIR"
[ $# = 2 ] || die "$usage"
mkdir -p "$2"
dir=$(cd "$2" && pwd)
lib=${KAFKA_LIB:-$here/../../build/kafka-lib}
start_limit=90
stop_limit=30

# The process whose command line names our file; a pid left by an earlier run may be another's now.
pid() {
    local pid
    pid=$(from_env "$dir" pid)
    [ -n "$pid" ] || return 1
    { tr '\0' '\n' <"/proc/$pid/cmdline" | grep -qxF "$dir/server.properties"; } 2>/dev/null &&
        echo "$pid"
}

fail() {
    printf -- '--- the end of %s\n' "$dir/log" >&2
    tail -n 30 "$dir/log" >&2 2>/dev/null || true
    die "$*"
}

jvm=(java "-Xmx${KAFKA_HEAP:-512m}" -cp "$lib/*" -Dorg.slf4j.simpleLogger.defaultLogLevel=warn
    -Dorg.slf4j.simpleLogger.showDateTime=true)

format() {
    rm -rf "$dir/data"
    mkdir -p "$dir/data"
    # Any 22 characters of base64 are a cluster's id.
    "${jvm[@]}" kafka.tools.StorageTool format -t dHJpcG1ldGVyLXRlc3RzMQ \
        -c "$dir/server.properties" >>"$dir/log" 2>&1 || fail "Kafka could not format $dir/data"
}

certify() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 \
        -subj "/CN=tripmeter test" -addext subjectAltName=IP:127.0.0.1 \
        -keyout "$dir/key.pem" -out "$dir/ca.pem" >>"$dir/log" 2>&1 || fail "no certificate"
    cat "$dir/key.pem" "$dir/ca.pem" >"$dir/server.pem"
}

configure() {
    local ports
    read -r -a ports <<<"$(free_ports 5)"
    [ ${#ports[@]} = 5 ] || die "no free port on 127.0.0.1"
    sed -e "s|@port@|${ports[0]}|g" -e "s|@controller_port@|${ports[1]}|g" -e "s|@dir@|$dir|g" \
        -e "s|@proxied_port@|${ports[2]}|g" -e "s|@proxy_port@|${ports[3]}|g" \
        -e "s|@secured_port@|${ports[4]}|g" \
        "$here/kafka.properties" >"$dir/server.properties"
    write_env "$dir" "bootstrap=127.0.0.1:${ports[0]}" "port=${ports[0]}" \
        "controller_port=${ports[1]}" "proxied_port=${ports[2]}" "proxy_port=${ports[3]}" \
        "secured_port=${ports[4]}"
    certify
}

launch() {
    local settings
    settings=$(grep -v '^pid=' "$dir/env")
    # In a session of its own: a Ctrl-C for the tests is theirs to pass on.
    setsid "${jvm[@]}" kafka.Kafka "$dir/server.properties" >>"$dir/log" 2>&1 </dev/null &
    write_env "$dir" "$settings" "pid=$!"
    # It is known by its command line, which it has only after exec.
    until pid >/dev/null || ! kill -0 $! 2>/dev/null; do
        sleep 0.01
    done
}

# 0: it listens.  1: the process ended.  Not in time is the end of the script.
await() {
    local deadline=$((SECONDS + start_limit)) port
    port=$(from_env "$dir" port)
    while [ $SECONDS -lt $deadline ]; do
        pid >/dev/null || return 1
        listens "$port" && return 0
        sleep 0.1
    done
    fail "Kafka does not listen on port $port after $start_limit s"
}

start() {
    local try

    [ -d "$lib" ] || die "no jars in $lib: run tests/env/deps.sh test"
    if pid >/dev/null; then
        await || fail "Kafka ended while starting"
        return
    fi
    for try in 1 2 3 4 5; do
        if [ ! -e "$dir/data/meta.properties" ]; then
            : >"$dir/log"
            configure
            format
        fi
        launch
        await && return
        grep -q 'Address already in use' "$dir/log" || break
        # Somebody took a port.  A new directory may have others; one with data keeps its own.
        [ -e "$dir/used" ] || rm -rf "$dir/data"
        sleep "$try"
    done
    fail "Kafka ended while starting"
}

end() {
    local pid deadline=$((SECONDS + stop_limit))
    pid=$(pid) || return 0
    kill "-$1" "$pid" 2>/dev/null || true
    while pid >/dev/null; do
        [ $SECONDS -lt $deadline ] || kill -KILL "$pid" 2>/dev/null || true
        sleep 0.05
    done
}

case $1 in
start)
    start
    touch "$dir/used"
    ;;
wait) await || fail "Kafka is not running" ;;
stop) end TERM ;;
kill) end KILL ;;
restart)
    end TERM
    start
    ;;
*) die "$usage" ;;
esac
