"""How many of each repeated element one call may hold, beside the most that the corpora hold.

`CORPUS_DIR=... python -m tests.limits` prints the table that stands in deploy/README.md.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from cds_service.cdshooks.requests import DEPTH
from cds_service.fhir.bundles import ENTRIES, REPAIRS
from cds_service.fhir.fetch import PAGES, READS, SEARCHES, TOGETHER
from cds_service.fhir.gather import OWN_NAMES
from cds_service.fhir.index import MOST_CONTAINED, MOST_SUBJECTS
from cds_service.fhir.orders import DRAFTS
from cds_service.fhir.products import MOST_PARTS
from cds_service.fhir.values import MOST_SPECIMENS

Json = dict[str, Any]
HEAD = "| repeated element | limit | most in the corpora | beyond it |\n|---|---:|---:|---|"


class Limit(NamedTuple):
    """An element that has a limit. `paths`: where a corpus holds it, "Type.field.field"; none: no corpus does."""

    element: str
    most: int
    beyond: str
    paths: tuple[str, ...] = ()


LIMITS = (
    Limit("entries of a Bundle", ENTRIES, "the rest is named as not read; its key is incomplete", ("Bundle.entry",)),
    Limit("entries of a Bundle that must be repaired", REPAIRS, "the rest is not read; its key is incomplete"),
    Limit("pages of one key", PAGES, "the key is incomplete"),
    Limit("keys that the client named itself", OWN_NAMES, "the rest is not read, and said"),
    Limit("draft orders", DRAFTS, "the rest is not judged, and said"),
    Limit("Medications looked up together", SEARCHES * TOGETHER, "their key is incomplete"),
    Limit("Medications looked up one by one", READS, "their key is incomplete"),
    Limit("contained resources that are searched for one reference", MOST_CONTAINED, "the reference finds nothing",
          ("*.contained",)),
    Limit("codings, ingredients or identifiers of a Medication", MOST_PARTS, "its name and display alone count",
          ("Medication.code.coding", "Medication.ingredient", "Medication.identifier")),
    Limit("specimens of a result", MOST_SPECIMENS, "the first ones decide", ("Observation.specimen",)),
    Limit("subjects of a resource", MOST_SUBJECTS, "the first ones decide", ("*.subject",)),
    Limit("levels of nesting", DEPTH, "400"),
)  # fmt: skip


def documents(folder: Path) -> Iterator[Json]:
    for path in sorted(folder.rglob("*.json")):
        yield json.loads(path.read_bytes())


def longest(folder: Path) -> Counter[str]:
    """The longest list at each place ("Observation.code.coding") that any document holds. A lone object is one."""
    found: Counter[str] = Counter()

    def walk(value: Any, path: str) -> None:
        if isinstance(value, list):
            found[path] = max(found[path], len(value))
            for each in value:
                walk(each, path)
        elif isinstance(value, dict):
            found[path] = max(found[path], 1)
            start = value.get("resourceType") or path
            for name, inner in value.items():
                walk(inner, f"{start}.{name}")

    for document in documents(folder):
        walk(document, "")
    return found


def most_of(limit: Limit, found: Counter[str]) -> int | None:
    """The most that the corpora hold of an element; None where they cannot hold it."""
    if not limit.paths:
        return None
    wanted = [path.removeprefix("*") for path in limit.paths]
    return max((count for path, count in found.items() if any(path.endswith(each) for each in wanted)), default=0)


def table(found: Counter[str]) -> str:
    """The table in Markdown."""
    lines = [HEAD]
    for each in LIMITS:
        most = most_of(each, found)
        lines.append(f"| {each.element} | {each.most:,} | {'–' if most is None else f'{most:,}'} | {each.beyond} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(longest(Path(os.environ["CORPUS_DIR"]))))
