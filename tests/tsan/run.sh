#!/bin/bash
# Unit tests and integration tests of programs that were built with MODE=tsan.
#
#   SUITES="names" STORIES="names" tests/tsan/run.sh DIR    DIR has tripmeter and run_all
#
# A report of ThreadSanitizer fails it, also one of an engine that a test has killed since.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
PYTHON=${PYTHON:-/usr/bin/python3}
reports=$(mktemp -d "$here/../../build/tsan.XXXXXX")
trap 'rm -rf "$reports"' EXIT

export TSAN_OPTIONS="suppressions=$here/suppressions log_path=$reports/report"
failed=0
# Chosen suites and stories are words each.
# shellcheck disable=SC2086
"$here/../env/with_postgres.sh" "$1/run_all" $SUITES >"$reports/log" 2>&1 || failed=1
grep -a -A5 'Run Summary' "$reports/log" || failed=1
# shellcheck disable=SC2086
TRIPMETER_BIN=$1/tripmeter "$PYTHON" "$here/../run_integration.py" $STORIES || failed=1
if compgen -G "$reports/report*" >/dev/null; then
    cat "$reports"/report*
    failed=1
fi
[ $failed = 0 ] && echo 'tsan: no report' || echo 'tsan: FAILED'
exit $failed
