#!/usr/bin/env python3
"""Counts what passed and what failed in one run of Bazel.

    count_results.py EVENTS STATUS

EVENTS is the file that --build_event_json_file wrote, STATUS is Bazel's exit status.
Prints "PASSED FAILED". A test target counts once, and so does any other target that
did not build although it was asked for; a run that failed for another reason counts as
one failure.
"""

import json
import sys

events_file, status = sys.argv[1], int(sys.argv[2])

results = {}  # Label of a test -> its overall status.
broken = set()  # Labels of targets that did not build.
skipped = set()  # Labels of targets that this platform cannot build, or nobody asked to.
with open(events_file, encoding="utf-8") as events:
    for line in events:
        try:
            event = json.loads(line)
        except ValueError:
            continue  # Bazel was killed while it wrote this line.
        kind, key = next(iter(event["id"].items()))
        if kind == "targetCompleted":
            if event.get("aborted", {}).get("reason") in ("SKIPPED", "NO_BUILD"):
                skipped.add(key["label"])
            elif not event.get("completed", {}).get("success"):
                broken.add(key["label"])
        elif kind == "testSummary":
            results[key["label"]] = event.get("testSummary", {}).get("overallStatus", "NO_STATUS")

broken -= skipped
passed = {label for label, result in results.items() if result in ("PASSED", "FLAKY")}
failed = {label for label in results if label not in passed} | broken
passed -= failed
if status != 0 and not failed:
    failed.add("the run itself")
for label in sorted(failed):
    print(f"failed: {label} ({results.get(label, 'not built')})", file=sys.stderr)
print(len(passed), len(failed))
