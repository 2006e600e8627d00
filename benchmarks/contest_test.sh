#!/usr/bin/env bash
# What a program with contests does, as its user sees it. contest_fixture.cc is such a
# program: a run's figure is the number of lines in a log after it wrote its own.
set -euo pipefail

fixture=$PWD/$1
cd "$TEST_TMPDIR"

failures=0
fail() {
  echo "FAILED: $*" >&2
  failures=$((failures + 1))
}

# says CODE FILE TEXT ARGUMENTS...: exits with CODE and has TEXT in output or errors.
says() {
  local code=0 expected=$1 file=$2 text=$3
  shift 3
  rm -f log
  "$fixture" --log=log "$@" >output 2>errors || code=$?
  [[ $code == "$expected" ]] || fail "$*: exit code $code, not $expected: $(cat errors)"
  grep -qE -- "$text" "$file" || fail "$*: does not say '$text' but: $(cat output errors)"
}

# ---- figures -----------------------------------------------------------------------

# Rounds: a warm-up with the lines 1 and 2, then 3 and 4, 5 and 6, 7 and 8.
says 0 output '^lines, size 2: 2 "units"; lines of 3 runs$' --repetitions=3 --size 2 --json=json
[[ $(tr '\n' ' ' <log) == "first second first second first second first second " ]] ||
  fail "the runs are not interleaved: $(tr '\n' ' ' <log)"
grep -qE '^first +glibc +5\.000 +3\.000 +7\.000 +1\.000$' output || fail "first: $(cat output)"
grep -qE '^second +glibc +6\.000 +4\.000 +8\.000 +1\.200$' output || fail "second: $(cat output)"
grep -qE '^low +6\.000 +NOT WITHIN 1\.000$' output || fail "low: $(cat output)"
grep -qE '^high +1\.000 +within 1\.000$' output || fail "high: $(cat output)"
grep -qE '^none +-$' output || fail "none: $(cat output)"

python3 - json <<'END' || fail "the JSON is not what it should be"
import json
import sys

report = json.load(open(sys.argv[1], encoding="utf-8"))
assert report["repetitions"] == 3, report
(contest,) = report["contests"]
assert contest["unit"] == '"units"' and contest["units"] == 2, contest
first, second, *mallocs = contest["contestants"]
assert first["figures"]["lines"] == {"median": 5, "min": 3, "max": 7, "runs": [3, 5, 7]}, first
assert abs(second["ratio"] - 1.2) < 1e-9, second
for figure in ["wall_s", "cpu_s", "peak_mib"]:
    assert len(first["figures"][figure]["runs"]) == 3, first
assert first["figures"]["peak_mib"]["min"] > 0, first
# Each malloc has its figure or is said to be left out.
assert [m["name"] for m in mallocs] == ["glibc", "tcmalloc", "jemalloc", "mimalloc"], mallocs
for contestant in mallocs:
    assert contestant["left_out"] == (contestant["name"] in report["left_out"]), contestant
    assert contestant["left_out"] == ("lines" not in contestant["figures"]), contestant
assert [d.get("within") for d in report["derived"]] == [False, True, None], report
END

# An even number of runs: the median is between the two in the middle.
says 0 output '^first +glibc +4\.000 +3\.000 +5\.000' --repetitions=2

# One run in this very process.
says 0 output '^lines 1$' --run=lines/first
says 0 output '^units 3$' --run=lines/first --size=3

# ---- what goes wrong ---------------------------------------------------------------

says 1 errors 'lines/second failed: exit status 7' --second=exits
says 1 errors 'lines/second failed: ended by signal 6' --second=aborts
says 1 errors 'lines/second did different work: 2 "units", not 1' --second=differs

says 2 errors 'there is no flag --sise' --sise=1
says 2 errors '--size may be 1 to 9, not 10' --size=10
says 2 errors 'size' --size=many
says 2 errors '--size needs a value' --size
says 2 errors "'3' is no flag" 3
says 2 errors '--repetitions may be 1 to 1000, not 0' --repetitions=0
says 2 errors '--json=/none/json cannot be written' --json=/none/json
says 2 errors '--run=lines/third: there are only lines/first lines/second' --run=lines/third

says 0 output '--repetitions=5' --help

if ((failures)); then
  echo "$failures failures" >&2
  exit 1
fi
