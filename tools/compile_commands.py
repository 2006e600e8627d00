#!/usr/bin/env python3
"""Writes compile_commands.json for clangd and clang-tidy from Bazel's own plan.

    tools/compile_commands.py [bazel options and targets; default //...]

Needs nothing but ./bazelw. Build the targets once before using the result: the
paths in it run through Bazel's execution root.
"""

import json
import os
import subprocess
import sys

WORKSPACE = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
SOURCES = (".cc", ".cpp", ".c")


def bazel(*arguments):
    """Returns what ./bazelw prints."""
    command = [os.path.join(WORKSPACE, "bazelw"), *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True,
                          cwd=WORKSPACE).stdout


def main():
    options = [a for a in sys.argv[1:] if a.startswith("-")]
    targets = [a for a in sys.argv[1:] if not a.startswith("-")] or ["//..."]
    root = bazel("info", *options, "execution_root").strip()
    # Header parsing and module maps are Bazel's business.
    plan = json.loads(
        bazel("aquery", *options, "--output=jsonproto", "--ui_event_filters=-info",
              "--noshow_progress", "--features=-layering_check", "--features=-parse_headers",
              f"mnemonic('CppCompile', set({' '.join(targets)}))"))
    commands = {}
    for action in plan.get("actions", []):
        arguments = action["arguments"]
        file = arguments[arguments.index("-c") + 1]
        if file.endswith(SOURCES):
            commands.setdefault(file, {"directory": root, "file": file, "arguments": arguments})
    path = os.path.join(WORKSPACE, "compile_commands.json")
    with open(path, "w", encoding="utf-8") as out:
        json.dump(list(commands.values()), out, indent=1)
    print(f"{path}: {len(commands)} files")


if __name__ == "__main__":
    main()
