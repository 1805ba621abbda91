"""Writes the safety case's pages from its lists: `python -m tests.safety`."""

from __future__ import annotations

import sys

from tests.safety import conformance, hazards


def main() -> int:
    """Exit 1, with every fault named, where a list has one; the pages are then left alone."""
    log, items = hazards.load(), conformance.load()
    found = [*log.faults(), *conformance.faults(items)]
    for fault in found:
        print(fault, file=sys.stderr)
    if not found:
        hazards.PAGE.write_text(hazards.page(log), encoding="utf-8")
        conformance.PAGE.write_text(conformance.page(items), encoding="utf-8")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
