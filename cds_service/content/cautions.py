"""What is no fault in a site's folder, and what whoever signs it must not overlook."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cds_service.clinical.bands import BOUNDS
from cds_service.clinical.tables import Pathway, Row

from .content import Content

OTHER_KIND = {"mass": "molar", "molar": "mass"}
GUIDELINE = re.compile(r"\b(NICE|NG239|AAFP)\b[^.]{0,30}\bthreshold|\bthresholds?[^.]{0,20}\b(NICE|NG239|AAFP)\b")


def cautions(ours: Content, theirs: Content) -> list[str]:
    """Sentences, each naming its pathway."""
    found: dict[str, None] = {}
    elsewhere = [name for name, each in theirs.pathways.items() if each.thresholds != ours.pathways[name].thresholds]
    for name, pathway in theirs.pathways.items():
        before = ours.pathways[name]
        changed = {key for key, each in before.thresholds.items() if each.value != pathway.thresholds[key].value}
        lines = [*half_changed(pathway, changed), *guideline_named(pathway, changed), *switched_off(before, pathway)]
        lines += looks_molar(pathway, theirs)
        if not changed and elsewhere:
            lines.append(f"no limit is changed here, only in {', '.join(elsewhere)}")
        found |= dict.fromkeys(f"{name}: {line}" for line in lines)
    return list(found)


def half_changed(pathway: Pathway, changed: set[str]) -> Iterator[str]:
    """Limits in one kind of unit were changed, and those in the other were not; or one edge of two."""
    for (analyte, family), edges in BOUNDS.items():
        display = pathway.displays[analyte]
        other = BOUNDS.get((analyte, OTHER_KIND[family]))
        if set(edges) & changed and other and not set(other) & changed:
            low, high = (pathway.thresholds[name] for name in other)
            compared = f"{low.value} and {high.value} {low.unit}"
            yield (f"{display} that is reported in {low.unit} is still compared with {compared}. If the laboratory's "
                   f"assay needs other limits, state them in {low.unit} too.")  # fmt: skip
        for one, two in (edges, edges[::-1]):
            if one in changed and two not in changed:
                kept = pathway.thresholds[two]
                yield f"{one} was changed and {two} was not: it is still {kept.value} {kept.unit}. Is that meant?"


def guideline_named(pathway: Pathway, changed: set[str]) -> Iterator[str]:
    """The limits are local now, and a text still calls them the guideline's."""
    if not changed & {name for edges in BOUNDS.values() for name in edges}:
        return
    rows: tuple[Row, ...] = (*pathway.interpret, *pathway.treat, *pathway.safety, *pathway.orders, *pathway.notes)
    texts = {f"row {row.table}/{row.id}": f"{row.summary} {row.detail}" for row in rows}
    texts |= {f"messages.toml {key}": text for key, text in pathway.messages.items()}
    for place, text in texts.items():
        if GUIDELINE.search(text):
            yield f"{place} still calls the threshold that of a guideline, and it is the site's own now."


def switched_off(before: Pathway, after: Pathway) -> Iterator[str]:
    """Rows that are gone. A safety row is said to be one."""
    for table in ("interpret", "treat", "safety", "orders"):
        kept = {row.id for row in getattr(after, table)}
        for row in getattr(before, table):
            if row.id not in kept:
                safety = table == "safety" or row.speaks_alone
                what = "A SAFETY ROW is switched off" if safety else "switched off"
                yield f"{what}: {table}/{row.id}" + (f", which said: {row.summary}" if row.summary else "")


def looks_molar(pathway: Pathway, content: Content) -> Iterator[str]:
    """A laboratory that sends such limits as its reference range is not believed unless own_limits says so."""
    settled = {(own.analyte, own.family) for own in content.site.own_limits if content.site.states(own, pathway.id)}
    limits = pathway.limits
    low = "b12-deficient-mass"
    below = limits[low] < limits["range-molar-low"]
    if low in content.site.changed.get(pathway.id, ()) and below and ("b12", "mass") not in settled:
        unit = pathway.thresholds[low].unit
        yield (f"a total B12 in {unit} whose reference range begins at {limits[low]} and ends below "
               f"{limits['range-molar-high']} looks like one in pmol/L and is in doubt. If the laboratory confirms the "
               "unit, name its codes in site.toml [[own_limits]].")  # fmt: skip
