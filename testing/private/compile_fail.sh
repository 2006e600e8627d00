#!/usr/bin/env bash
# What compile_fail_test does: compiles a source with a macro, and judges.
#
#   compile_fail.sh VERDICT SOURCE MACRO EXPECTATIONS RIGHT COMPILER ARGUMENT...
#
# VERDICT is written: `pass` or `fail`, and below it what there is to say. EXPECTATIONS has
# lines of three fields with tabs between: `error`, a compiler, a regular expression; or
# `copt`, a compiler, an option. ../compile_fail_test.bzl says what they mean. RIGHT is what
# compile_right.sh has found of the source without the macro, with the same options.
set -euo pipefail
verdict=$1 source=$2 macro=$3 expectations=$4 right=$5
shift 5
export LC_ALL=C # The compiler's quotation marks are ASCII.
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

# tell pass|fail TEXT [FILE]
tell() {
  { printf '%s\n' "$1" "$2" && if [[ ${3:-} ]]; then cat "$3"; fi; } >"$verdict"
  exit 0
}

# shellcheck source=compiler.sh
. "$(dirname "$0")/compiler.sh" "$1"
[[ $kind ]] || tell fail "$1 is neither gcc nor clang"
mapfile -t copts < <(of_best_match copt)
copts+=(-fdiagnostics-color=never)
error=$(of_best_match error)

# ---- without the macro it compiles -------------------------------------------------
tail -n +2 "$right" >"$logs/good"
if [[ $(head -n 1 "$right") != compiles ]]; then
  tell fail "$kind $major does not compile $source even without -D$macro:" "$logs/good"
fi
if [[ $error ]] && grep -Eq -e "$error" "$logs/good"; then
  tell fail "$kind $major complains in the same way without -D$macro:" "$logs/good"
fi

# ---- with it, what happens is what was expected ------------------------------------
compiles=1
"$@" "${copts[@]}" "-D$macro" >"$logs/bad" 2>&1 || compiles=
# As in compile_right.sh: a compiler that was killed has no verdict that may be kept.
if [[ ! $compiles ]] && ! grep -Eq '(^|[ :])error: ' "$logs/bad"; then
  cat "$logs/bad" >&2
  exit 1
fi

# The lines of the misuse: those in a conditional that names the macro.
"$(dirname "$0")/misuse_lines.sh" "$source" "$macro" >"$logs/lines"
[[ -s $logs/lines ]] || tell fail "$source has no conditional that names $macro"

# named_lines REGEX: the lines of SOURCE that messages matching REGEX begin with.
named_lines() {
  awk -v prefix="$source:" -v pattern="^[0-9]+:([0-9]+:)?$1" '
    index($0, prefix) == 1 {
      rest = substr($0, length(prefix) + 1)
      if (rest ~ pattern) print rest + 0
    }' "$logs/bad" | sort -u
}
belongs() { grep -xF -f "$logs/lines" >/dev/null; }
elsewhere() { grep -vxF -m 1 -f "$logs/lines"; }

if [[ ! $error ]]; then
  [[ $compiles ]] || tell fail "$kind $major should compile the misuse $macro, by what the test says of it, and does not:" "$logs/bad"
  if named_lines ' warning: ' | belongs; then
    tell fail "$kind $major should compile the misuse $macro silently, by what the test says of it, and warns:" "$logs/bad"
  fi
  tell pass "$kind $major compiles the misuse $macro silently"
fi
[[ ! $compiles ]] || tell fail "$kind $major compiles the misuse $macro, which should fail with: $error" "$logs/bad"
grep -E '(^|[ :])error: ' "$logs/bad" >"$logs/errors" || true
message=$(grep -E -m 1 -e "$error" "$logs/errors") ||
  tell fail "no error of $kind $major for the misuse $macro matches: $error" "$logs/bad"
line=$(named_lines ' (fatal )?error: ' | elsewhere) || true
[[ ! $line ]] ||
  tell fail "$kind $major has an error for line $line, which does not belong to the misuse $macro:" "$logs/bad"
named_lines '' | belongs ||
  tell fail "no message of $kind $major names a line that belongs to the misuse $macro:" "$logs/bad"
tell pass "$kind $major rejects the misuse $macro: $message"
