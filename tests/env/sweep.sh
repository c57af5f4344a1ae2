#!/bin/bash
# Ends and removes what test runs that were killed have left under build/: their servers, engines
# and files.  A run holds a lock on DIR/lock as long as it lives; who can have the lock, may sweep.
#
#   tests/env/sweep.sh
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$here/../.." && pwd)/build
. "$here/lib.sh"

sweep() {
    local dir=$1 cmdline pid
    # The name of the directory is nobody else's, so whoever was started with it belongs to the run.
    for cmdline in /proc/[0-9]*/cmdline; do
        pid=${cmdline//[!0-9]/}
        if { tr '\0' '\n' <"$cmdline" | grep -qF "$dir/"; } 2>/dev/null; then
            kill -KILL "$pid" 2>/dev/null || true
        fi
    done
    for postgres in "$dir" "$dir/postgres"; do
        [ -z "$(from_env "$postgres" place)" ] || "$here/postgres.sh" destroy "$postgres"
    done
    rm -rf "$dir"
}

for lock in "$build"/run.*/lock; do
    [ -e "$lock" ] || continue
    (
        exec 9<"$lock"
        ! flock -n 9 || sweep "${lock%/lock}" 9>&-
    )
done
