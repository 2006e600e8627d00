#!/usr/bin/env bash
# What clang_tidy_test does: runs clang-tidy without and with some macros.
#
#   clang_tidy.sh SOURCE CONFIG ARGUMENTS [MACRO FINDING]...
#
# ARGUMENTS is a file with the compiler's arguments, one a line. ../clang_tidy_test.bzl says
# what the others are.
set -euo pipefail
source=$1 config=$2
mapfile -t arguments <"$3"
shift 3
oldest=19
export LC_ALL=C

version_of() { "$1" --version 2>/dev/null | sed -n 's/.*version \([0-9]*\)\..*/\1/p' | head -n 1; }
find_clang_tidy() {
  local name version names=("clang-tidy-$oldest" clang-tidy clang-tidy-{20..40})
  if [[ ${CLANG_TIDY:-} ]]; then names=("$CLANG_TIDY"); fi
  for name in "${names[@]}"; do
    version=$(version_of "$name" || true)
    if [[ $version ]] && ((version >= oldest)); then
      echo "$name"
      return
    fi
  done
  return 1
}
if ! clang_tidy=$(find_clang_tidy); then
  echo "there is no clang-tidy of version $oldest or later: install one (Debian: clang-tidy-$oldest), or name it in CLANG_TIDY"
  [[ ${BIBOP_REQUIRE_CLANG_TIDY:-} != 1 ]] || exit 1
  echo "nothing was tested"
  exit 0
fi

# What the compiler takes and clang does not know goes, such as options of gcc.
unknown=$("$clang_tidy" --quiet --config-file="$config" "$source" -- "${arguments[@]}" 2>&1 |
  sed -n "s/.*error: unknown argument:\{0,1\} '\([^']*\)'.*/\1/p") || true
known=()
for argument in "${arguments[@]}"; do
  grep -qxF -e "$argument" <<<"$unknown" || known+=("$argument")
done

# findings [OPTION]: what clang-tidy has to say of the source; fails if it did not run.
findings() {
  local output status=0
  output=$("$clang_tidy" --quiet --config-file="$config" "$source" -- "${known[@]}" "$@" 2>&1) || status=$?
  grep -E ': (warning|error): ' <<<"$output" && return
  if ((status != 0)); then
    printf '%s\n' "$output"
    return
  fi
}

good=$(findings)
if [[ $good ]]; then
  printf '%s finds something in the right use:\n%s\n' "$clang_tidy" "$good"
  exit 1
fi

failures=0
# check MACRO FINDING: whether that is found, and only in lines of the misuse.
check() {
  local macro=$1 finding=$2 bad lines line number
  bad=$(findings "-D$macro")
  if ! grep -Eq -e "$finding" <<<"$bad"; then
    printf '%s finds nothing that matches %s with -D%s:\n%s\n' "$clang_tidy" "$finding" "$macro" "$bad"
    failures=$((failures + 1))
    return
  fi
  lines=$("$(dirname "$0")/misuse_lines.sh" "$source" "$macro")
  while IFS= read -r line; do
    number=${line#*"$source:"}
    if ! grep -qxF -e "${number%%:*}" <<<"$lines"; then
      printf '%s finds something in lines that do not belong to %s:\n%s\n' "$clang_tidy" "$macro" "$bad"
      failures=$((failures + 1))
      return
    fi
  done <<<"$bad"
  printf '%s: %s\n' "$macro" "$bad"
}
while (($#)); do
  check "$1" "$2"
  shift 2
done
((failures == 0))
