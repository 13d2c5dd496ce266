#!/usr/bin/env bash
# Runs make targets one after another, all of them even when one fails, and ends with a table.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

table="" failed=0
for stage in "$@"; do
  printf '\n== make %s\n' "$stage"
  SECONDS=0
  if make "$stage"; then outcome=ok; else outcome=FAILED failed=$((failed + 1)); fi
  table+=$(printf '%-16s %-7s %5d s' "$stage" "$outcome" "$SECONDS")$'\n'
done
printf '\n%s' "$table"
[ $failed = 0 ] || { echo "$failed of $# stages failed"; exit 1; }
