#!/usr/bin/env bash
# The page /gcz in a real browser: its script draws what it polls from the service.
#
#   status_page_test.sh PKGRAPHD INDEX
#
# Takes Chromium (Debian: chromium-headless-shell). Without it this tests nothing and says
# so; it fails instead where BIBOP_REQUIRE_CHROMIUM is 1.
set -euo pipefail

pkgraphd=$PWD/$1 index=$PWD/$2
cd "$TEST_TMPDIR"

browser=$(command -v chromium-headless-shell || command -v chromium || true)
if [[ -z $browser ]]; then
  echo "SKIPPED: there is no chromium-headless-shell and no chromium on the PATH"
  [[ ${BIBOP_REQUIRE_CHROMIUM:-} != 1 ]] || exit 1
  exit 0
fi

"$pkgraphd" --index="$index" --port=0 >output 2>errors &
service=$!
trap 'kill $service 2>/dev/null || true' EXIT
until grep -q '^http://' output; do
  kill -0 "$service" 2>/dev/null || { cat errors >&2; exit 1; }
  sleep 0.01
done
url=$(grep '^http://' output)

# Time in the page goes on as fast as the service answers: six seconds are some polls.
# Its own sandbox does not work in another, nor as root.
HOME=$TEST_TMPDIR timeout 120 "$browser" --headless --no-sandbox --disable-gpu \
  --disable-dev-shm-usage --user-data-dir="$TEST_TMPDIR/profile" \
  --virtual-time-budget=6000 --dump-dom "${url}gcz" >page 2>browser_errors ||
  { cat browser_errors >&2; exit 1; }

failures=0
fail() {
  echo "FAILED: $*" >&2
  failures=$((failures + 1))
}

polls=$(sed -n 's/.*answers; .*polls: \([0-9]*\)<.*/\1/p' page)
((${polls:-0} >= 3)) || fail "the page polled ${polls:-0} times: $(grep 'id="state"' page)"
# One figure a line.
sed 's/<figure /\n&/g' page >figures
for plot in live resident tasks requests graphs; do
  # A line with several points.
  grep "<figure id=\"$plot\"" figures | grep -qE 'class="line" d="M[0-9.]+ [0-9.]+(L[0-9.]+ [0-9.]+){2,}"' ||
    fail "$plot: no line is drawn: $(grep "<figure id=\"$plot\"" figures)"
done
grep '<figure id="resident"' figures | grep -qE '"now">[0-9]+\.[0-9] MiB<' ||
  fail "no number: $(grep '<figure id="resident"' figures)"
grep '<figure id="graphs"' figures | grep -qF '"now">1<' ||
  fail "not one graph: $(grep '<figure id="graphs"' figures)"

((failures == 0)) || exit 1
echo "PASSED"
