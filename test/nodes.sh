#!/usr/bin/env bash
# What stands on Node's own private parts (gate, drain, handover), and a short run under load, on other majors of Node.
# Each is taken from the registry's package `node`, into a folder that is removed afterwards.
#   test/nodes.sh MAJOR...
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || { echo 'usage: test/nodes.sh MAJOR...' >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mapfile -t files < <(find dist/test/integration -name 'preload-*.test.js' -o -path '*/workers/replace.test.js' -o -path '*/workers/environment.test.js' | sort)
[ ${#files[@]} -gt 0 ] || { echo 'no tests found in dist/test/integration: run npm run build first' >&2; exit 1; }

for major in "$@"; do
  mkdir "$folder/$major"
  npm install --prefix "$folder/$major" --no-audit --no-fund --silent "node@$major" ||
    { echo "node@$major could not be had from the npm registry" >&2; exit 1; }
  node="$folder/$major/node_modules/node/bin/node"
  version=$("$node" --version) || { echo "node@$major came without a program that runs here: $node" >&2; exit 1; }
  case $version in "v$major."*) ;; *) echo "node@$major is $version" >&2; exit 1 ;; esac
  echo "--- Node $version"
  "$node" --enable-source-maps --test --test-concurrency="${TEST_CONCURRENCY:-2}" --test-reporter="${TEST_REPORTER:-dot}" "${files[@]}"
  echo
  "$node" --enable-source-maps dist/test/bench/long-run.js --requests 10000 --replaced 8 --workers 4 --control 2000 --rate 800
done
