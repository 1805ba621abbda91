"""What only a site decides (site.toml): its time zone, how many cards, and which codes its own limits were set for.

Limits themselves stand in thresholds.toml, per analyte and kind of unit: one laboratory, one set of limits. A site of
two laboratories with different limits runs the service once for each. [[own_limits]] names the codes and the unit for
which the laboratory has confirmed them; there a reference range that looks like another unit is no doubt (6.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from msgspec import Meta

from cds_service.clinical.bands import BOUNDS
from cds_service.clinical.tables import Analyte, normalise_unit

from .codes import Codes, name_of
from .faults import Faults, listing
from .files import SITE_FILE
from .laid_over import Toml, is_entries
from .shapes import Name, Text
from .typed import Shape

LIMITS = {**BOUNDS, ("mma", "molar"): ("mma-upper",), ("homocysteine", "molar"): ("homocysteine-upper",)}
CARDS = {"most": "max_cards", "most_suggestions": "max_suggestions", "selection_behaviour": "selection_behaviour"}


class OwnCode(Shape, frozen=True, kw_only=True):
    """A code of a laboratory."""

    system: Text
    code: Text


class OwnLimitsEntry(Shape, frozen=True, kw_only=True):
    """An entry of [[own_limits]] in site.toml."""

    analyte: Name
    unit: Text
    codes: Annotated[tuple[OwnCode, ...], Meta(min_length=1)]


class SiteCards(Shape, frozen=True, kw_only=True):
    """[cards] of site.toml. None: as the service has it."""

    most: Annotated[int, Meta(ge=1, le=3)] | None = None
    most_suggestions: Annotated[int, Meta(ge=0)] | None = None
    selection_behaviour: Literal["any", "alternatives", "at-most-one"] | None = None


class SiteDrafts(Shape, frozen=True, kw_only=True):
    """[drafts] of site.toml."""

    problem_list: bool = False
    follow_up: Literal["ServiceRequest", "Task", "CarePlan"] = "ServiceRequest"


class SiteFile(Shape, frozen=True, kw_only=True):
    """site.toml."""

    name: Text = ""
    language: Text = ""
    time_zone: Text = ""
    cards: SiteCards = SiteCards()
    own_limits: tuple[OwnLimitsEntry, ...] = ()
    doses_recorded: bool = True
    bookings: tuple[Literal["Appointment", "Task"], ...] = ()
    drafts: SiteDrafts = SiteDrafts()


@dataclass(frozen=True, slots=True)
class OwnLimits:
    """A laboratory has confirmed its limits of this analyte for these codes in this unit (our spelling)."""

    analyte: str
    family: str
    unit: str
    codes: tuple[tuple[str, str], ...]  # (system, code)

    def names(self) -> frozenset[str]:
        """ "system|code|unit" of each code."""
        return frozenset(f"{name_of(system, code)}|{self.unit}" for system, code in self.codes)


@dataclass(frozen=True, slots=True)
class SiteSettings:
    """A site's own settings; everything is at its default where there is no site, or it says nothing."""

    folder: Path | None = None
    name: str = ""
    time_zone: str = ""  # "" = not stated
    cards: Mapping[str, int | str] = field(default_factory=dict)  # by the names of hooks.compose.Options
    own_limits: tuple[OwnLimits, ...] = ()
    doses_recorded: bool = True  # False: injections are given and never recorded where this service reads
    bookings: tuple[str, ...] = ()  # "Appointment", "Task": asked for, because an injection may be arranged there
    problem_list: bool = False  # offer to put a deficiency that was found on the problem list
    follow_up: str = "ServiceRequest"  # the resource in which a follow-up is drafted
    changed: Mapping[str, frozenset[str]] = field(default_factory=dict)  # pathway -> thresholds whose value it states

    def states(self, own: OwnLimits, pathway: str) -> bool:
        """Has the site set every limit of that analyte and kind of unit in this pathway?"""
        return set(LIMITS[own.analyte, own.family]) <= self.changed.get(pathway, frozenset())

    def limits_for(self, pathway: str) -> frozenset[str]:
        """ "system|code|unit" of everything whose limits the site has set in this pathway."""
        return frozenset().union(*(own.names() for own in self.own_limits if self.states(own, pathway)))


def read_site(
    folder: Path | None,
    table: SiteFile,
    theirs: Mapping[str, Toml],
    faults: Faults,
    *,
    analytes: Mapping[str, Analyte],
    codes: Codes,
) -> SiteSettings:
    """The settings of site.toml, whose shape is sound. `theirs`: what the site's files say, by place."""
    zone = table.time_zone
    if zone and not is_zone(zone):
        faults.add(f"{SITE_FILE} time_zone", f"{zone!r} is no time zone; allowed: a name such as Europe/London or UTC")
    settings = SiteSettings(
        folder=folder,
        name=table.name,
        time_zone=zone,
        cards={name: value for key, name in CARDS.items() if (value := getattr(table.cards, key)) is not None},
        own_limits=tuple(
            own
            for number, entry in enumerate(table.own_limits, start=1)
            if (own := own_limits(entry, f"{SITE_FILE} own_limits {number}", analytes, codes, faults))
        ),
        doses_recorded=table.doses_recorded,
        bookings=table.bookings,
        problem_list=table.drafts.problem_list,
        follow_up=table.drafts.follow_up,
        changed={place.rpartition("/")[0]: changed_values(each) for place, each in theirs.items()
                 if place.endswith("/thresholds.toml")},
    )  # fmt: skip
    for number, own in enumerate(settings.own_limits, start=1):
        if not any(settings.states(own, pathway) for pathway in settings.changed):
            wanted = f"no thresholds.toml of the site states the limits {listing(LIMITS[own.analyte, own.family])}"
            faults.add(f"{SITE_FILE} own_limits {number}", wanted)
    return settings


def is_zone(name: str) -> bool:
    if name == "UTC":  # a bare machine may have no time zone database
        return True
    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        return False
    return True


def changed_values(table: Toml) -> frozenset[str]:
    """The thresholds whose value a site's file states, also where it is the same as ours."""
    entries = table.get("threshold", [])
    return frozenset(str(each.get("id")) for each in (entries if is_entries(entries) else []) if "value" in each)


def own_limits(
    entry: OwnLimitsEntry, place: str, analytes: Mapping[str, Analyte], codes: Codes, faults: Faults
) -> OwnLimits | None:
    """One entry of [[own_limits]], or None with its faults."""
    analyte = analytes.get(entry.analyte)
    known = {name for name, _ in LIMITS}
    if analyte is None or analyte.id not in known:
        faults.unknown(place, "analyte with limits of its own", entry.analyte, known)
        return None
    unit = analyte.units.get(normalise_unit(entry.unit))
    if unit is None:
        spellings = {each.spelling for each in analyte.units.values()}
        faults.unknown(place, f"unit of {analyte.id}", entry.unit, spellings)
        return None
    if (analyte.id, unit.family) not in LIMITS:
        faults.add(place, f"{analyte.id} has no limits of the kind {unit.family!r} ({unit.spelling})")
        return None
    given = tuple((each.system, each.code) for each in entry.codes)
    for system, code in given:
        if f"lab-{analyte.id}" not in {use.concept for use in codes.find(system, code)}:
            faults.add(place, f"the code {code!r} of {system} is not in value-sets/lab-{analyte.id}.csv; add it there")
    return OwnLimits(analyte.id, unit.family, unit.spelling, given)
