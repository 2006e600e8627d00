# Sourced with the path of a compiler: which one that is. It says so itself, its name does
# not: `kind` is gcc or clang, or nothing if it is neither, and `major` its version.
# shellcheck shell=bash

predefined=$("$1" -dM -E -x c++ /dev/null 2>&1) || predefined=
number() { awk -v name="$1" '$1 == "#define" && $2 == name { print $3 }' <<<"$predefined"; }
kind=clang major=$(number __clang_major__)
if [[ ! $major ]]; then kind=gcc major=$(number __GNUC__); fi
[[ $major ]] || kind=

# of_best_match WHAT: the values that the file $expectations has for the key that fits best.
of_best_match() {
  awk -F'\t' -v what="$1" -v kind="$kind" -v major="$major" '
    $1 == what {
      rank = 0
      if ($2 == "*") rank = 1
      else if ($2 == kind) rank = 2
      else if (index($2, kind "-") == 1) {
        oldest = substr($2, length(kind) + 2) + 0
        if (oldest <= major) rank = 2 + oldest
      }
      if (rank > best) { best = rank; values = "" }
      if (rank == best && rank && $3 != "") values = values $3 "\n"
    }
    END { printf "%s", values }' "$expectations"
}
