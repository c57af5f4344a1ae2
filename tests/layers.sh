#!/bin/sh
# Proves that includes point one way, and that core and rules touch nothing outside their arguments.
bad=0
rule() {
    hits=$(grep -nE '^#include "' "$1"/*.[ch] "$1"/*.cc 2>/dev/null | grep -vE "\"($2)/")
    [ -z "$hits" ] && return
    printf '%s\n  -> %s may include only: %s\n' "$hits" "$1" "$2"
    bad=1
}
rule core 'core'
rule rules 'core|rules'
rule config 'core|rules|config'
rule ingest 'core|config|ingest'
rule sinks 'core|config|sinks'
rule engine 'core|rules|config|ingest|sinks|engine'
rule cli 'core|rules|config|ingest|sinks|engine|cli'
hits=$(grep -nE '<(librdkafka|libpq|curl|yaml|microhttpd|sys/|netinet|arpa|unistd|pthread|threads|stdio|time\.h)' \
    core/*.h rules/*.[ch] 2>/dev/null
    grep -nE '<(librdkafka|libpq|curl|yaml|microhttpd|sys/|netinet|arpa|unistd|pthread|threads|time\.h)' core/*.c)
[ -z "$hits" ] || { printf '%s\n  -> core and rules do no I/O\n' "$hits"; bad=1; }
exit $bad
