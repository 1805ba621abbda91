"""An amended or corrected result takes the place of the earlier one that it corrects (6.1).

The same result is one with the same identifier, or of the same specimen at the same moment. (The same id is settled
before anything is read: `reader.distinct`.)
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from ...clinical.record import LabResult
from ..resources import Resource, listed
from . import reasons
from .labs import sampled
from .reading import Reading, status_of

CORRECTED = ("amended", "corrected")


def apply_corrections(reading: Reading) -> None:
    """Take out, and report, the results that a correction has replaced."""
    if not reading.corrected:
        return
    groups: dict[Hashable, list[int]] = {}
    for position, (lab, source) in enumerate(zip(reading.labs, reading.lab_sources, strict=True)):
        for key in same_result_keys(lab, source, reading):
            groups.setdefault(key, []).append(position)
    replaced: set[int] = set()
    for group in groups.values():
        if len(group) > 1:
            replaced.update(replaced_in(group, reading))
    for position in sorted(replaced):
        reading.ignore(reading.labs[position].reference, reasons.REPLACED)
    reading.labs = [lab for position, lab in enumerate(reading.labs) if position not in replaced]


def same_result_keys(lab: LabResult, source: Resource, reading: Reading) -> Iterator[Hashable]:
    """What two versions of one result have in common: any of these."""
    for identifier in listed(source.identifier):
        if identifier.value:
            yield "identifier", lab.analyte, identifier.system, identifier.value
    when = sampled(source, reading)
    specimens = frozenset(each.reference or each.display or "" for each in listed(source.specimen)) - {""}
    if specimens or (when is not None and when.timed):  # a bare date is not a moment
        yield "specimen", lab.analyte, specimens, when.seconds if when else None


def replaced_in(group: list[int], reading: Reading) -> Iterator[int]:
    """Everything in the group that is not later than its newest correction, and not part of the same resource."""
    sources = reading.lab_sources
    corrections = [position for position in group if status_of(sources[position]) in CORRECTED]
    if not corrections:
        return
    newest = max(corrections, key=lambda position: version(sources[position], reading))
    for position in group:
        if sources[position] is sources[newest]:
            continue
        if position in corrections or not is_later(sources[position], sources[newest], reading):
            yield position


def version(source: Resource, reading: Reading) -> tuple[float, float, str]:
    """Orders the corrections of one result; what is not said came first."""
    taken, issued = (when if when is not None else float("-inf") for when in moments(source, reading))
    return taken, issued, source.id or ""


def is_later(source: Resource, correction: Resource, reading: Reading) -> bool:
    """Was it taken or issued after the correction, as far as both say?"""
    pairs = zip(moments(source, reading), moments(correction, reading), strict=True)
    return any(mine is not None and its is not None and mine > its for mine, its in pairs)


def moments(source: Resource, reading: Reading) -> tuple[float | None, float | None]:
    """When the sample was taken, and when the result was issued."""
    taken, issued = sampled(source, reading), reading.calendar.read(source.issued)
    return taken.seconds if taken else None, issued.seconds if issued else None
