"""How deep a JSON text is nested: our own limit, for parsers differ (checklist item 36)."""

from __future__ import annotations

import re
from itertools import accumulate

LIMIT = 64
USUAL = 16  # FHIR in a hook request is hardly ever nested deeper
NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
RUNS = (b"}" * 48, b"]" * 48, b"]}" * 24)  # how nested objects, lists, and both in turn close
ONE_KIND = bytes.maketrans(b"[]", b"{}")
STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # one level down, one level up, as signed bytes
STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)


def too_deep(body: bytes) -> bool:
    """Is any value nested deeper than LIMIT?

    Whoever nests deep also closes deep: unless brackets close in a long run, or the text is spread over lines, nothing
    is counted. What escapes this look (closing brackets with other members or texts between them) is skipped unread,
    or exhausts the decoder and is told by `surely_too_deep`.
    """
    if b"\n" not in body and not any(run in body for run in RUNS):
        return False
    left = body.translate(ONE_KIND, NOT_BRACKETS)
    for _ in range(USUAL):
        if not left:
            return False
        left = left.replace(b"{}", b"")
    return bool(left) and surely_too_deep(body)


def surely_too_deep(body: bytes) -> bool:
    """The same, exact: counted outside of strings."""
    steps = STRING.sub(b"", body).translate(STEPS, NOT_BRACKETS)
    return max(accumulate(memoryview(steps).cast("b")), default=0) > LIMIT
