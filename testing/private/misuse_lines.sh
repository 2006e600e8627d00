#!/usr/bin/env bash
# Prints the numbers of the lines of SOURCE that are in a conditional that names MACRO.
#
#   misuse_lines.sh SOURCE MACRO
awk -v macro="$2" '
  BEGIN { name = "(^|[^A-Za-z0-9_])" macro "([^A-Za-z0-9_]|$)" }
  /^[ \t]*#[ \t]*if/ { outer = inside[depth]; inside[++depth] = outer || $0 ~ name }
  /^[ \t]*#[ \t]*elif/ && $0 ~ name { inside[depth] = 1 }
  inside[depth] { print NR }
  /^[ \t]*#[ \t]*endif/ { delete inside[depth--] }' "$1"
