#!/usr/bin/env bash
# The half of compile_fail_test that its tests of one source have in common: compiles the
# source as it is.
#
#   compile_right.sh RIGHT EXPECTATIONS COMPILER ARGUMENT...
#
# RIGHT is written: `compiles` or `fails`, and below it the compiler's messages. EXPECTATIONS
# is that of compile_fail.sh, of which the options count.
set -euo pipefail
right=$1 expectations=$2
shift 2
export LC_ALL=C # The compiler's quotation marks are ASCII.
# shellcheck source=compiler.sh
. "$(dirname "$0")/compiler.sh" "$1"
mapfile -t copts < <(of_best_match copt)
messages=$(mktemp)
trap 'rm -f "$messages"' EXIT
outcome=compiles
"$@" "${copts[@]}" -fdiagnostics-color=never >"$messages" 2>&1 || outcome=fails
# A compiler that was killed, or found no memory, has no verdict that may be kept.
if [[ $outcome == fails ]] && ! grep -Eq '(^|[ :])error: ' "$messages"; then
  cat "$messages" >&2
  exit 1
fi
{ echo "$outcome" && cat "$messages"; } >"$right"
