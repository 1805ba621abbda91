"""TOML elements of the right shape become the types of `cds_service.clinical.tables`.

What a single element can get wrong by itself is reported here (a unit twice, a duration without an end); what needs
other files is reported by `check`.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from sys import intern
from typing import Any

from cds_service.clinical.tables import (
    Analyte,
    Choice,
    FixedCard,
    Orderable,
    Phase,
    Plausible,
    Provenance,
    Regimen,
    Row,
    Source,
    Threshold,
    Unit,
)
from cds_service.clinical.units import normalise_unit

from .faults import Faults, listing
from .shapes import Element

Coding = tuple[str, str, str]  # system, code, display


def number(value: int | Decimal) -> Decimal:
    """A TOML number, exactly."""
    return Decimal(value)


def provenance(table: dict[str, Any]) -> Provenance:
    return Provenance(intern(table["source"]), intern(table["evidence"]), table["checked"])


def source(element: Element) -> Source:
    return Source(element.id, element.table["title"], element.table["url"], element.table["published"])


def threshold(element: Element) -> Threshold:
    table, note = element.table, " ".join(element.table.get("note", "").split())
    return Threshold(element.id, number(table["value"]), table["unit"], number(table["step"]), provenance(table), note)


def analyte(element: Element, faults: Faults) -> Analyte:
    """Units by every text that is accepted for them; the first unit of a family with factor 1 is its base."""
    table = element.table
    units: dict[str, Unit] = {}
    bases: dict[str, str] = {}
    for entry in table.get("unit", []):
        unit = Unit(entry["spelling"], entry["family"], number(entry["factor"]))
        if unit.factor == 1:
            bases.setdefault(unit.family, unit.spelling)
        for text in dict.fromkeys(normalise_unit(each) for each in (unit.spelling, *entry.get("accepts", []))):
            if units.setdefault(text, unit) is not unit:
                faults.add(element.place, f"the unit text {text!r} stands for two units")
    return Analyte(
        id=element.id,
        display=table["display"],
        units=units,
        bases=bases,
        chart_unit=table.get("chart", ""),
        mass_per_molar=number(table["mass_per_molar"]) if "mass_per_molar" in table else None,
        plausible=tuple(plausible(entry) for entry in table.get("plausible", [])),
        provenance=provenance(table),
    )


def plausible(entry: dict[str, Any]) -> Plausible:
    limits = (number(entry[key]) if key in entry else None for key in ("low", "high", "high_on_injections"))
    return Plausible(entry["family"], *limits)


def check_analyte(element: Element, built: Analyte, faults: Faults) -> None:
    """Every family has a base unit, and what is stated in a family or unit names one that exists."""
    entries = element.table.get("unit", [])
    families = {entry["family"] for entry in entries}
    for family in sorted(families - built.bases.keys()):
        faults.add(element.place, f"no unit of family {family!r} has factor 1; that one is the base")
    for limits in built.plausible:
        if limits.family not in families:
            faults.add(element.place, f"plausible range in family {limits.family!r}, which has no unit")
    spellings = {entry["spelling"] for entry in entries}
    if built.chart_unit and built.chart_unit not in spellings:
        faults.unknown(element.place, "chart unit", built.chart_unit, spellings)
    if (built.mass_per_molar is not None) != ({"mass", "molar"} <= families):
        faults.add(element.place, "mass_per_molar belongs to an analyte with mass and molar units, and to no other")


def orderable(element: Element) -> Orderable:
    table = element.table
    return Orderable(
        id=element.id,
        title=table["title"],
        coding=coding(table["coding"]) if "coding" in table else None,
        measures=tuple(table["measures"]),
        current_days=table["current_days"],
        provenance=provenance(table),
        more_codings=tuple(coding(entry) for entry in table.get("more_codings", [])),
    )


def coding(entry: dict[str, str]) -> Coding:
    return intern(entry["system"]), entry["code"], entry["display"]


def regimen(element: Element, faults: Faults) -> Regimen:
    table = element.table
    return Regimen(
        id=element.id,
        ingredient=table["ingredient"],
        title=table["title"],
        words=table["words"],
        text=table["text"],
        phases=tuple(phase(entry, element, faults) for entry in table["phase"]),
        provenance=provenance(table),
        codings=tuple(coding(entry) for entry in table.get("codings", [])),
        also=tuple(table.get("also", ())),
        least_dose=number(table["least_dose"]) if "least_dose" in table else None,
    )


def phase(entry: dict[str, Any], element: Element, faults: Faults) -> Phase:
    """One phase; ranges must rise."""
    for low, high in (("dose", "dose_high"), ("period", "period_high")):
        if high in entry and entry[high] <= entry[low]:
            faults.add(element.place, f"phase {entry['id']!r}: {high} {entry[high]} is not above {low} {entry[low]}")
    duration = entry.get("duration")
    return Phase(
        id=entry["id"],
        dose=number(entry["dose"]),
        dose_high=number(entry["dose_high"]) if "dose_high" in entry else None,
        dose_unit=entry["dose_unit"],
        route=entry["route"],
        frequency=entry["frequency"],
        period=number(entry["period"]),
        period_high=number(entry["period_high"]) if "period_high" in entry else None,
        period_unit=entry["period_unit"],
        count=entry.get("count"),
        duration=(number(duration[0]), duration[1]) if duration else None,
        ends=entry.get("ends", ""),
        words=entry["words"],
    )


def check_phases(element: Element, built: Regimen, faults: Faults) -> None:
    """A phase that another one follows must say what ends it, or the second would never begin."""
    ids = [each.id for each in built.phases]
    if len(set(ids)) != len(ids):
        faults.add(element.place, f"two phases have the same id: {', '.join(ids)}")
    for each in built.phases[:-1]:
        if each.count is None and each.duration is None and not each.ends:
            faults.add(element.place, f"phase {each.id!r} is followed by another and needs count, duration or ends")


def row(element: Element, table: str) -> Row:
    entry = element.table
    return Row(
        id=element.id,
        table=table,
        when=names(entry, "when"),
        unless=names(entry, "unless"),
        label=entry.get("label", ""),
        tests=choices(entry.get("tests", [])),
        treat=entry.get("treat", "none"),
        treat_when=by_finding(entry.get("treat_when", {})),
        regimens=choices(entry.get("regimens", [])),
        review=entry.get("review", ""),
        indicator=entry.get("indicator", "none"),
        raised=by_finding(entry.get("raise", {})),
        no_card=names(entry, "no_card"),
        summary=entry.get("summary", "").strip(),
        detail=entry.get("detail", "").strip(),
        topic=entry.get("topic", ""),
        speaks_alone=entry.get("speaks_alone", False),
        on=names(entry, "on"),
        provenance=provenance(entry),
    )


def names(entry: dict[str, Any], key: str) -> tuple[str, ...]:
    return tuple(intern(name) for name in entry.get(key, []))


def by_finding(table: dict[str, list[str]]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """`{ warning = ["neuro"] }` in the order in which it is written."""
    return tuple((key, tuple(intern(name) for name in findings)) for key, findings in table.items())


def choices(entries: Iterable[str | dict[str, Any]]) -> tuple[Choice, ...]:
    """A list of ids, each alone or with its conditions."""
    return tuple(
        Choice(intern(entry))
        if isinstance(entry, str)
        else Choice(intern(entry["id"]), names(entry, "when"), names(entry, "unless"))
        for entry in entries
    )


def fixed_card(name: str, table: dict[str, Any]) -> FixedCard:
    return FixedCard(
        id=name,
        indicator=table["indicator"],
        summary=table["summary"].strip(),
        detail=table["detail"].strip(),
        topic=table["topic"],
        provenance=provenance(table),
    )


def messages(table: dict[str, Any]) -> dict[str, str]:
    """Our short phrases by key; a phrase of a section is found by section and key, "doubt.no-unit"."""
    flat: dict[str, str] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            flat |= {f"{key}.{name}": text for name, text in value.items()}
        else:
            flat[key] = value
    return flat


def group_members(elements: Iterable[Element], known: frozenset[str], faults: Faults) -> dict[str, set[str]]:
    """Who belongs to each known group. A group of no members would silently never be true: a fault."""
    elements = list(elements)
    members: dict[str, set[str]] = {name: set() for name in known}
    for element in elements:
        for name in (*element.table.get("groups", []), *(["lifelong"] if element.table.get("lifelong") else [])):
            if name in members:
                members[name].add(element.id)
            else:
                faults.unknown(element.place, "group", name, known)
    empty = [name for name, ids in members.items() if not ids]
    if elements and empty:
        faults.add(elements[0].place.partition(" ")[0], f"no member in group {listing(empty)}, which the findings read")
    return members
