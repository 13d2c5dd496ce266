#!/usr/bin/env bash
# Runs make targets one after another, all of them even when one fails. The end says once more
# what failed, and ends with a table. What each printed stays in build/stages.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

logs=build/stages said=60
rm -rf "$logs" && mkdir -p "$logs"
table="" failed=()
for stage in "$@"; do
  printf '\n== make %s\n' "$stage"
  SECONDS=0
  if make "$stage" 2>&1 | tee "$logs/$stage.log"; then outcome=ok; else outcome=FAILED failed+=("$stage"); fi
  table+=$(printf '%-16s %-7s %5d s' "$stage" "$outcome" "$SECONDS")$'\n'
done
for stage in "${failed[@]}"; do
  printf '\n== the last %s lines of make %s, which failed\n' "$said" "$stage"
  tail -n "$said" "$logs/$stage.log"
done
printf '\n%s' "$table"
[ ${#failed[@]} = 0 ] || { echo "${#failed[@]} of $# stages failed"; exit 1; }
