#!/bin/bash
# Runs a command with a fast private Postgres (no fsync) whose connection string is in
# TRIPMETER_TEST_POSTGRES, and removes the cluster afterwards.
#
#   tests/env/with_postgres.sh COMMAND [ARGUMENT...]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"

mkdir -p "$here/../../build"
dir=$(mktemp -d "$here/../../build/postgres.XXXXXX")
trap '"$here/postgres.sh" destroy "$dir"; rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
FAST=1 "$here/postgres.sh" start "$dir"
TRIPMETER_TEST_POSTGRES=$(from_env "$dir" postgres) "$@"
