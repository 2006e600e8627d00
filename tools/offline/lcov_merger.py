#!/usr/bin/env python3
"""Does for `bazel coverage` of C++ what Bazel's own (Java) coverage tools do.

Bazel downloads those; a machine that cannot uses this in their place. Reads the
*.gcov.json.gz (gcc's gcov 9 and later) and *.dat (lcov) files of one test, or
the reports of several tests, and writes one lcov report.
"""

import collections
import glob
import gzip
import json
import os
import re
import sys

options = collections.defaultdict(list)
for argument in sys.argv[1:]:
    name, _, value = argument.lstrip("-").partition("=")
    options[name].append(value)
filters = [re.compile(f) for f in options["filter_sources"]]
# Headers are compiled by the path they are included by, in a folder of links:
# bazel-out/.../bin/heap/_virtual_includes/cage/bibop/heap/cage.h is heap/cage.h.
virtual_include = re.compile(r"(?:.*/)?bazel-out/[^/]+/bin/(?:.*/)?_virtual_includes/[^/]+/bibop/(.+)")


def source_path(file):
    """Returns the path in the source tree of a file that a report names."""
    match = virtual_include.fullmatch(os.path.normpath(file))
    return match.group(1) if match else os.path.normpath(file)


sources = set()  # what --instrumentation_filter let through; empty: everything
for manifest in options["source_file_manifest"]:
    with open(manifest, encoding="utf-8") as f:
        sources.update(source_path(name) for name in f.read().split())

lines = collections.defaultdict(collections.Counter)  # file -> line -> times
functions = collections.defaultdict(dict)  # file -> name -> [line, times]


def wanted(file):
    if sources and file not in sources:
        return False
    return not any(f.fullmatch(file) for f in filters)


def add_function(file, name, line, times):
    entry = functions[file].setdefault(name, [line, 0])
    entry[1] += times


def read_gcov(path):
    with gzip.open(path, "rt", encoding="utf-8") as f:
        report = json.load(f)
    for file in report["files"]:
        name = source_path(file["file"])
        if not wanted(name):
            continue
        for line in file["lines"]:
            lines[name][line["line_number"]] += line["count"]
        for function in file["functions"]:
            add_function(name, function["demangled_name"], function["start_line"],
                         function["execution_count"])


def read_lcov(path):
    name = None
    declared = {}
    with open(path, encoding="utf-8", errors="replace") as f:
        for record in f:
            kind, _, rest = record.strip().partition(":")
            if kind == "SF":
                name, declared = source_path(rest), {}
            elif kind == "DA" and wanted(name):
                number, times = rest.split(",")[:2]
                lines[name][int(number)] += int(times)
            elif kind == "FN":
                number, function = rest.split(",", 1)
                declared[function] = int(number)
            elif kind == "FNDA" and wanted(name):
                times, function = rest.split(",", 1)
                add_function(name, function, declared.get(function, 0), int(times))


for directory in options["coverage_dir"]:
    for root, _, _ in os.walk(directory):
        for path in sorted(glob.glob(os.path.join(root, "*.gcov.json.gz"))):
            read_gcov(path)
        for path in sorted(glob.glob(os.path.join(root, "*.dat"))):
            read_lcov(path)
for reports in options["reports_file"]:
    with open(reports, encoding="utf-8") as f:
        for path in f.read().split():
            if path.endswith(".dat") and os.path.getsize(path):
                read_lcov(path)

with open(options["output_file"][0], "w", encoding="utf-8") as out:
    for name in sorted(lines):
        out.write(f"SF:{name}\n")
        for function, (line, _) in sorted(functions[name].items()):
            out.write(f"FN:{line},{function}\n")
        for function, (_, times) in sorted(functions[name].items()):
            out.write(f"FNDA:{times},{function}\n")
        out.write(f"FNF:{len(functions[name])}\n")
        out.write(f"FNH:{sum(1 for f in functions[name].values() if f[1])}\n")
        for number, times in sorted(lines[name].items()):
            out.write(f"DA:{number},{times}\n")
        out.write(f"LH:{sum(1 for t in lines[name].values() if t)}\n")
        out.write(f"LF:{len(lines[name])}\nend_of_record\n")
