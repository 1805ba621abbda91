"""Which numbers a finding hangs on, for one patient: found by moving them, not written down anywhere.

Every limit that was looked at while the findings were drawn is moved far down and far up, and the findings are drawn
again. What appears or goes with it hangs on that limit. The same is done with the laboratory's own upper limit of MMA
and homocysteine, which counts before ours.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from cds_service.clinical.case import Because, Case
from cds_service.clinical.findings import REGISTRY, Assessment, assess
from cds_service.clinical.record import LabResult
from cds_service.clinical.tables import Limits, Pathway, Provenance, Source

MOVED = (Decimal(0), Decimal(100))  # times the limit
LABORATORY = "the laboratory's own limit"
PERIODS = ("days", "months")
OF_RANGES = "range-"  # how the ids of limits begin with which a laboratory's reference range is compared
MOST = 400  # entries of a record that is gone through some fifty times


@dataclass(frozen=True, slots=True)
class Limit:
    """A number that a finding hangs on. `id` names the threshold; "" for one that the laboratory sent."""

    id: str
    words: str  # "180 ng/L"
    provenance: Provenance | None = None
    source: Source | None = None
    reference: str = ""  # of the result with which the laboratory sent it
    is_period: bool = False


class Watched(Limits):
    """Limits that remember which of them were looked at."""

    __slots__ = ("read",)

    def __init__(self, limits: Pathway) -> None:
        super().__init__({name: each.value for name, each in limits.thresholds.items()})
        self.read: dict[str, None] = {}

    def __getitem__(self, name: str) -> Decimal:
        self.read[name] = None
        return super().__getitem__(name)

    def days(self, name: str) -> int:
        self.read[name] = None
        return super().days(name)

    def within_days(self, name: str, day: date | None, today: date) -> bool:
        self.read[name] = None
        return super().within_days(name, day, today)

    def within_months(self, name: str, day: date | None, today: date) -> bool:
        self.read[name] = None
        return super().within_months(name, day, today)

    def longer_than_months(self, name: str, day: date, today: date) -> bool:
        self.read[name] = None
        return super().longer_than_months(name, day, today)


def is_too_large(assessment: Assessment) -> bool:
    """Would it take too long to work out the limits behind the findings of this record?"""
    record = assessment.case.record
    return len(record.labs) + len(record.problems) + len(record.medications) > MOST


def limits_behind(
    assessment: Assessment, pathway: Pathway, wanted: Collection[str] | None = None
) -> dict[str, tuple[Limit, ...]]:
    """The limits behind each finding, by its name; values before periods. Nothing for a record that is too large.

    `wanted`: only the limits are moved that these findings, or those they follow from, declare.
    """
    if is_too_large(assessment):
        return {}
    case, behind = assessment.case, dict[str, list[Limit]]()
    declared = None if wanted is None else declared_by(wanted)
    for limit, names in (*moved_thresholds(case, pathway, declared), *moved_by_laboratory(case, pathway)):
        for name in names:
            behind.setdefault(name, []).append(limit)
    return {name: tuple(sorted(found, key=lambda each: each.is_period)) for name, found in behind.items()}


def declared_by(names: Collection[str]) -> frozenset[str]:
    """The limits that these findings and all that they follow from declare."""
    limits, followed, left = set[str](), set[str](), list(names)
    while left:
        name = left.pop()
        if name in followed or name not in REGISTRY.rules:
            continue
        followed.add(name)
        limits.update(REGISTRY.rules[name].limits)
        left.extend(REGISTRY.rules[name].follows_from)
    return frozenset(limits)


def moved_thresholds(
    case: Case, pathway: Pathway, declared: Collection[str] | None
) -> Iterator[tuple[Limit, set[str]]]:
    """Each limit of the pathway that was looked at, with the findings that come or go when it is moved."""
    for name in looked_at(case, pathway):
        if declared is not None and name not in declared:
            continue
        threshold = pathway.thresholds[name]
        limit = Limit(
            name,
            f"{threshold.value} {threshold.unit}",
            threshold.provenance,
            pathway.sources.get(threshold.provenance.source),
            is_period=threshold.unit in PERIODS,
        )
        found = [moved(case, pathway, name, threshold.value * factor) for factor in MOVED]
        yield limit, changed(found, case)


def changed(found: list[set[str]], case: Case) -> set[str]:
    """What any of these differs in from the findings of the case."""
    return set[str]().union(*(each ^ case.found.keys() for each in found))


def looked_at(case: Case, pathway: Pathway) -> list[str]:
    """The limits that the findings of this record ask for."""
    watched = Watched(pathway)
    copy = replace(pathway)
    object.__setattr__(copy, "limits", watched)  # made with the pathway, and no part of what it is made from
    assess(case.record, copy, case.today)
    return [name for name in pathway.thresholds if name in watched.read]


def moved(case: Case, pathway: Pathway, name: str, value: Decimal) -> set[str]:
    """The names of the findings with another value of one limit."""
    other = replace(pathway.thresholds[name], value=value)
    return set(
        assess(case.record, replace(pathway, thresholds=pathway.thresholds | {name: other}), case.today).findings
    )


def moved_by_laboratory(case: Case, pathway: Pathway) -> Iterator[tuple[Limit, set[str]]]:
    """The laboratory's own upper limit of results that count, with the findings that come or go when it is moved."""
    for lab in (case.mma, case.homocysteine):
        if lab is not None and lab.high is not None:
            limit = Limit("", f"{LABORATORY}, {lab.high.normalize():f} {lab.unit}", reference=lab.reference)
            yield limit, changed([with_high(case, pathway, lab, lab.high * factor) for factor in MOVED], case)


def with_high(case: Case, pathway: Pathway, lab: LabResult, high: Decimal) -> set[str]:
    labs = tuple(each._replace(high=high) if each == lab else each for each in case.record.labs)
    return set(assess(replace(case.record, labs=labs), pathway, case.today).findings)


def compared_with(shown: Sequence[Because], limits: Iterable[Limit]) -> list[str]:
    """The limits with which what is shown was compared, in words: those in its own unit, or sent with that result.

    A finding hangs on others too (red cells, kidneys, how a reference range looks), which would be read as limits of
    this number.
    """
    own = [each.words for each in limits if not each.id and each.reference in {one.reference for one in shown}]
    ours = [each for each in limits if each.id and not each.is_period and not each.id.startswith(OF_RANGES)]
    fitting = [each.words for each in ours if any(is_in_unit(one, each) for one in shown)]
    if own or not fitting:
        return own
    return [f"limit {fitting[0]}"] if len(fitting) == 1 else [f"limits {' and '.join(fitting)}"]


def is_in_unit(shown: Because, limit: Limit) -> bool:
    """Does the evidence state a number in the unit of the limit?"""
    unit = limit.words.partition(" ")[2]
    return bool(unit) and f" {unit} " in f"{shown.text} "
