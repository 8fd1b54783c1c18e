#!/usr/bin/env bash
# Installs the apps of the zoo with their frameworks, then runs it on this Node, or on other majors from the registry's
# package `node`. Next is installed and built only if it is among the apps.
#   test/zoo/run.sh [--nodes '20 22 24 26'] [--only express,nest,…] [--rolls N] [--rate N]
set -euo pipefail
cd "$(dirname "$0")/../.."
nodes=()
only=
arguments=()
while [ $# -gt 0 ]; do
  case $1 in
    --nodes) read -ra nodes <<<"${2:?--nodes takes majors of Node, such as '22 24'}"; shift 2 ;;
    --only) only=${2:?--only takes names of apps}; arguments+=(--only "$only"); shift 2 ;;
    *) arguments+=("$1"); shift ;;
  esac
done
install() { npm ci --prefix "$1" --ignore-scripts --no-audit --no-fund --silent; }
install test/zoo
case ",$only," in
  ,, | *,next,*)
    install test/zoo/next
    (cd test/zoo/next && NEXT_TELEMETRY_DISABLED=1 npm run --silent build >/dev/null)
    ;;
esac
[ ${#nodes[@]} -gt 0 ] || exec node --enable-source-maps dist/test/zoo/zoo.js "${arguments[@]}"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failed=0
for major in "${nodes[@]}"; do
  mkdir "$folder/$major"
  npm install --prefix "$folder/$major" --no-audit --no-fund --silent "node@$major" ||
    { echo "node@$major could not be had from the npm registry" >&2; exit 1; }
  "$folder/$major/node_modules/node/bin/node" --enable-source-maps dist/test/zoo/zoo.js "${arguments[@]}" || failed=1
done
exit $failed
