#!/usr/bin/env python3
"""Checks that a page shows what a program does.

    docs/page_examples.py PAGE.md SOURCE.cc PROGRAM EXPECTED

Every C++ example of the page is in the source, to the letter but for the indentation,
and the program prints what is in EXPECTED, whose lines are separated by '|'.
"""

import re
import subprocess
import sys


def lines(text):
    return "\n".join(line.strip() for line in text.strip().splitlines())


def main():
    page, source, program, expected = sys.argv[1:]
    with open(page, encoding="utf-8") as file:
        examples = re.findall(r"^```c\+\+$(.*?)^```$", file.read(), re.S | re.M)
    with open(source, encoding="utf-8") as file:
        text = lines(file.read())
    if not examples:
        sys.exit(f"{page} has no example")
    for example in examples:
        if lines(example) not in text:
            sys.exit(f"this example of {page} is not in {source}:\n{example}")
    printed = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    if printed.split("\n") != expected.split("|") + [""]:
        sys.exit(f"the examples of {page} printed\n{printed}instead of {expected}")


if __name__ == "__main__":
    main()
