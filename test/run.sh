#!/usr/bin/env bash
# Runs the compiled tests of the named suites (folders below test/), or of every suite that needs no root.
#   test/run.sh [unit|simulation|integration|fleet|...] ...
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- unit simulation integration fleet
folders=()
for suite in "$@"; do
  [ -d "dist/test/$suite" ] && folders+=("dist/test/$suite")
done
mapfile -t files < <(find "${folders[@]}" -name '*.test.js' | sort)
[ ${#files[@]} -gt 0 ] || { echo "no tests found in: $*" >&2; exit 1; }
# With TEST_REPORT=1 a page of what was shown, and its figures, comes at the end.
report=()
[ -z "${TEST_REPORT:-}" ] || report=(--test-reporter=./dist/test/support/report.js --test-reporter-destination=stdout)
exec node --enable-source-maps --test --test-concurrency="${TEST_CONCURRENCY:-2}" \
  --test-reporter="${TEST_REPORTER:-spec}" --test-reporter-destination=stdout "${report[@]}" "${files[@]}"
