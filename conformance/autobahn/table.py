#!/usr/bin/env python3
"""Writes how the suite went into a Markdown file: table.py FILE ROLE=REPORT[,REPORT…] …

Each REPORT is a folder with an index.json; several make up one run. The table goes between the lines
`<!-- autobahn -->` and `<!-- /autobahn -->`, and nothing else of the file changes.
"""

import sys

import summary

BEGIN, END = "<!-- autobahn -->", "<!-- /autobahn -->"


def groups(cases):
    """The groups of the cases, neighbours joined: 1–7, 9, 10."""
    runs = []
    for number in sorted({int(case_id.split(".")[0]) for case_id in cases}):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    # Two are no range: 9, 10.
    return ", ".join(
        "%d–%d" % (first, last) if last > first + 1 else ", ".join(str(n) for n in range(first, last + 1))
        for first, last in runs)


def row(role, cases):
    ended = (", ".join("%d %s" % (count, name) for name, count in summary.tally(cases, field))
             for field in ("behavior", "behaviorClose"))
    return "| %s | %d (%s) | %s | %s |" % (role, len(cases), groups(cases), *ended)


def main():
    if len(sys.argv) < 3 or not all("=" in role for role in sys.argv[2:]):
        sys.exit(__doc__)
    path = sys.argv[1]
    lines = [BEGIN, "| role | cases | behavior | closing behavior |", "|---|---|---|---|"]
    for argument in sys.argv[2:]:
        role, reports = argument.split("=", 1)
        (cases,) = summary.load(reports.split(",")).values()
        lines.append(row(role, cases))
    lines.append(END)

    with open(path, encoding="utf-8") as f:
        text = f.read()
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        sys.exit("%s: the lines %s and %s have to stand there once, in this order" % (path, BEGIN, END))
    before, rest = text.split(BEGIN)
    with open(path, "w", encoding="utf-8") as f:
        f.write(before + "\n".join(lines) + rest.split(END)[1])
    print("\n".join(lines[1:-1]))


if __name__ == "__main__":
    main()
