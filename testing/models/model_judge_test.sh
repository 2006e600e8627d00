#!/usr/bin/env bash
# What model_test accepts and refuses, shown with small models.
#
#   model_judge_test.sh model.sh
set -euo pipefail
judge=$(realpath "$1")
cd "$TEST_TMPDIR"
if ! command -v spin >/dev/null; then
  echo "there is no spin: nothing was tested"
  [[ ${BIBOP_REQUIRE_SPIN:-} != 1 ]] || exit 1
  exit 0
fi
failures=0

# expect pass|fail TEXT ARGUMENT...: what model.sh does with the arguments, and says.
expect() {
  local verdict=pass text=$2
  "$judge" "${@:3}" >log 2>&1 || verdict=fail
  if [[ $verdict != "$1" ]] || ! grep -q -e "$text" log; then
    echo "line ${BASH_LINENO[0]}: expected $1 and '$text', got $verdict:"
    cat log
    failures=$((failures + 1))
  fi
}

cat >counter.pml <<'END'
byte count;
active proctype Counter() {
  do
  :: count < 200 -> count++
#ifdef MUTANT_OVER
  :: count == 200 -> count++; assert(count <= 200)
#endif
#ifdef MUTANT_STUCK
  :: count == 200 -> count == 0
#endif
  :: count == 200 -> break
#ifdef MUTANT_HARMLESS
  :: count == 200 -> break
#endif
#ifdef ERROR
  :: count == 100 -> assert(false)
#endif
  od
}
END
echo 'It has `OVER`, `STUCK` and `HARMLESS`.' >document
all=(MUTANT_OVER MUTANT_STUCK MUTANT_HARMLESS)

expect pass 'errors: 0' holds counter.pml
expect fail 'last steps' holds counter.pml -DERROR
expect pass 'assertion violated' fails counter.pml MUTANT_OVER
expect pass 'invalid end state' fails counter.pml MUTANT_STUCK
expect fail 'is not caught' fails counter.pml MUTANT_HARMLESS
expect fail 'does not name' fails counter.pml MUTANT_OTHER
expect pass '3 mutants' lists counter.pml document "${all[@]}"
expect fail 'not the same' lists counter.pml document MUTANT_OVER
expect fail 'does not tell of' lists counter.pml /dev/null "${all[@]}"
MODEL_DEPTH=50 expect fail 'not complete' holds counter.pml
expect fail 'refuses' holds counter.pml -Dactive=nonsense

# Some ten million states do not fit.
cat >large.pml <<'END'
byte a, b, c;
active proctype A() { do :: a < 220 -> a++ :: else -> break od }
active proctype B() { do :: b < 220 -> b++ :: else -> break od }
active proctype C() { do :: c < 220 -> c++ :: else -> break od }
END
MODEL_MEGABYTES=150 expect fail 'not complete\|ended with status' holds large.pml

((failures == 0))
