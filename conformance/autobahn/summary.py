#!/usr/bin/env python3
"""Reads the index.json of an Autobahn testsuite report and says how it went.

Prints, for every implementation in the report, how many cases ended in which
behavior and which closing behavior, then every case where either one is not OK
or INFORMATIONAL. Exit status: 0 when there is no such case (other than the ones
allowed by --allow) and enough cases ran, 1 otherwise, 2 when the report cannot
be read.

Several reports count as one, for a run that was split.

With --expect FILE PRESET the report is also compared with a file of expected
results: the number of cases has to be the same, and each case has to end as
noted there, so that a case which slips from OK to INFORMATIONAL is a failure,
and so is one which gets better until the file says so.
"""

import argparse
import collections
import itertools
import json
import os
import sys

GOOD = ("OK", "INFORMATIONAL")


def case_key(case_id):
    return [int(part) if part.isdigit() else 0 for part in case_id.split(".")]


def in_groups(case_id, groups):
    return any(case_id == g or case_id.startswith(g + ".") for g in groups)


def load(paths):
    """The cases of each implementation, from the index.json of one report or several."""
    merged = {}
    for path in paths:
        if os.path.isdir(path):
            path = os.path.join(path, "index.json")
        with open(path, encoding="utf-8") as f:
            report = json.load(f)
        for name, cases in report.items():
            known = merged.setdefault(name, {})
            twice = known.keys() & cases.keys()
            if twice:
                raise ValueError("%s is in two reports" % min(twice, key=case_key))
            known.update(cases)
    return merged


def tally(cases, field):
    """How many cases ended how: (value, count), OK first and what is wrong last."""
    counter = collections.Counter(c.get(field, "MISSING") for c in cases.values())
    return sorted(counter.items(), key=lambda item: (item[0] not in GOOD, item[0] != "OK", item[0]))


def counts(cases, field):
    return ", ".join("%s %d" % item for item in tally(cases, field)) or "none"


def runs(cases):
    """Yields (case ids, behavior, close behavior, close code) in case order.

    Neighbours of one group which ended alike come as one.
    """
    def outcome(case_id):
        case = cases[case_id]
        return (case.get("behavior", "MISSING"), case.get("behaviorClose", "MISSING"),
                case.get("remoteCloseCode"))

    def alike(case_id):
        return case_id.rsplit(".", 1)[0], outcome(case_id)

    for (_, ended), ids in itertools.groupby(sorted(cases, key=case_key), key=alike):
        yield (list(ids),) + ended


def differences(cases, expected):
    """Yields a line for every way in which a report is not the expected one."""
    if len(cases) != expected["cases"]:
        yield "%d cases ran, expected %d" % (len(cases), expected["cases"])
    for field in ("behavior", "behaviorClose"):
        for case_id in sorted(set(expected[field]) - set(cases), key=case_key):
            yield "%s did not run" % case_id
        for case_id in sorted(cases, key=case_key):
            got = cases[case_id].get(field, "MISSING")
            want = expected[field].get(case_id, "OK")
            if got != want:
                yield "%-8s %s is %s, expected %s" % (case_id, field, got, want)


def main():
    parser = argparse.ArgumentParser(
        description="Summarise an Autobahn testsuite report.")
    parser.add_argument("index", nargs="+", help="index.json, or the folder it is in; several count as one")
    parser.add_argument("--name", action="append",
                        help="only this implementation (repeatable; default: all)")
    parser.add_argument("--min-cases", type=int, default=1, metavar="N",
                        help="fail if fewer than N cases ran (default: 1)")
    parser.add_argument("--allow", action="append", default=[], metavar="BEHAVIOR",
                        help="list cases with this behavior but do not fail for them, "
                             "for example NON-STRICT or UNIMPLEMENTED (repeatable)")
    parser.add_argument("--skip", action="append", default=[], metavar="GROUP",
                        help="leave out cases of this group, for example 12 or 9.7 (repeatable)")
    parser.add_argument("--expect", nargs=2, metavar=("FILE", "PRESET"),
                        help="compare with the results noted under PRESET in FILE (expected.json)")
    parser.add_argument("--slow", type=int, default=0, metavar="N",
                        help="also print the N slowest cases")
    args = parser.parse_args()

    try:
        report = load(args.index)
    except (OSError, ValueError) as error:
        print("cannot read the report: %s" % error, file=sys.stderr)
        return 2

    expected = None
    if args.expect:
        try:
            with open(args.expect[0], encoding="utf-8") as f:
                expected = json.load(f)[args.expect[1]]
        except (OSError, ValueError, KeyError) as error:
            print("cannot read the expected results: %r" % error, file=sys.stderr)
            return 2

    names = args.name or sorted(report)
    if not names:
        print("the report is empty: no case ran")
        return 1

    failed = False
    allowed = set(GOOD) | {name.upper() for name in args.allow}
    for name in names:
        cases = {case_id: case for case_id, case in report.get(name, {}).items()
                 if not in_groups(case_id, args.skip)}
        total = sum(case.get("duration", 0) for case in cases.values()) / 1000.0
        print("%s: %d cases, %.1f s" % (name, len(cases), total))
        print("  behavior:      %s" % counts(cases, "behavior"))
        print("  behaviorClose: %s" % counts(cases, "behaviorClose"))

        for ids, behavior, close, code in runs(cases):
            if behavior in GOOD and close in GOOD:
                continue
            bad = behavior not in allowed or close not in allowed
            failed = failed or bad
            label = ids[0] if len(ids) == 1 else "%s .. %s (%d cases)" % (ids[0], ids[-1], len(ids))
            line = "  %s %-8s %s" % ("!" if bad else " ", label, behavior)
            if close != "OK":
                line += ", close: " + close
            print("%s, close code %s" % (line, code))

        for case_id in sorted(cases, key=lambda c: -cases[c].get("duration", 0))[:args.slow]:
            print("  slow: %-8s %8.2f s" % (case_id, cases[case_id].get("duration", 0) / 1000.0))

        if len(cases) < args.min_cases:
            print("  ! only %d cases ran, expected at least %d" % (len(cases), args.min_cases))
            failed = True

        if expected:
            different = list(differences(cases, expected))
            for line in different:
                print("  ! " + line)
            if different:
                failed = True
            else:
                print("  all %d cases ended as expected" % len(cases))

    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
