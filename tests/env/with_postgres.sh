#!/bin/bash
# Runs a command with a fast private Postgres (no fsync) whose connection string is in
# TRIPMETER_TEST_POSTGRES, and removes the cluster afterwards.
#
#   tests/env/with_postgres.sh COMMAND [ARGUMENT...]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$here/../.." && pwd)/build
. "$here/lib.sh"

mkdir -p "$build"
"$here/sweep.sh"
dir=$(mktemp -d "$build/run.XXXXXX")
# It gets its name when it is locked, see sweep.sh; the server must not inherit the lock.
exec 9>"$dir/lock.new"
flock 9
mv "$dir/lock.new" "$dir/lock"
trap '"$here/postgres.sh" destroy "$dir" 9>&-; rm -rf "$dir"' EXIT
child=
trap '[ -z "$child" ] || kill "$child"; exit 130' INT TERM
FAST=1 "$here/postgres.sh" start "$dir" 9>&-
TRIPMETER_TEST_POSTGRES=$(from_env "$dir" postgres) "$@" 9>&- &
child=$!
# Waiting, unlike a command in the foreground, lets a signal through at once.
wait "$child"
