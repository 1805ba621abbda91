"""Elements of the right shape become the types of `clinical.tables`, where that takes more than the same names.

What a single element can get wrong by itself is reported here (a unit twice, a duration without an end); what needs
other files is reported by `check`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cds_service.clinical.tables import Analyte, FixedCard, Plausible, Regimen, Unit, normalise_unit

from .elements import Element, built
from .faults import Faults, listing
from .shapes import AnalyteTable, FixedCardTable, Phrases, RegimenEntry


def analyte(element: Element, faults: Faults) -> Analyte:
    """Units by every text that is accepted for them; the first unit of a family with factor 1 is its base."""
    table: AnalyteTable = element.shape
    units: dict[str, Unit] = {}
    bases: dict[str, str] = {}
    for entry in table.unit:
        unit = built(Unit, entry)
        if unit.factor == 1:
            bases.setdefault(unit.family, unit.spelling)
        for text in dict.fromkeys(normalise_unit(each) for each in (unit.spelling, *entry.accepts)):
            if units.setdefault(text, unit) is not unit:
                faults.add(element.place, f"the unit text {text!r} stands for two units")
    found = Analyte(
        id=element.id,
        display=table.display,
        units=units,
        bases=bases,
        chart_unit=table.chart,
        mass_per_molar=table.mass_per_molar,
        plausible=tuple(built(Plausible, entry) for entry in table.plausible),
        provenance=table.provenance,
        prefetch=table.prefetch,
        current=table.current,
    )
    check_analyte(element.place, table, found, faults)
    return found


def check_analyte(place: str, table: AnalyteTable, found: Analyte, faults: Faults) -> None:
    """Every family has a base unit, and what is stated in a family or unit names one that exists."""
    families = {unit.family for unit in table.unit}
    for family in sorted(families - found.bases.keys()):
        faults.add(place, f"no unit of family {family!r} has factor 1; that one is the base")
    for limits in found.plausible:
        if limits.family not in families:
            faults.add(place, f"plausible range in family {limits.family!r}, which has no unit")
    spellings = {unit.spelling for unit in table.unit}
    if found.chart_unit and found.chart_unit not in spellings:
        faults.unknown(place, "chart unit", found.chart_unit, spellings)
    if (found.mass_per_molar is not None) != ({"mass", "molar"} <= families):
        faults.add(place, "mass_per_molar belongs to an analyte with mass and molar units, and to no other")


def regimen(element: Element, faults: Faults) -> Regimen:
    """A regimen. A phase that another one follows has bounds in its draft, or the second would never begin."""
    entry: RegimenEntry = element.shape
    ids = [each.id for each in entry.phases]
    if len(set(ids)) != len(ids):
        faults.add(element.place, f"two phases have the same id: {', '.join(ids)}")
    for each in entry.phases[:-1]:
        if each.duration is None:
            faults.add(element.place, f"phase {each.id!r} is followed by another and needs a duration")
    return built(Regimen, entry)


def fixed_card(name: str, table: FixedCardTable) -> FixedCard:
    """A card that no row makes, under the name that it has in pathway.toml."""
    summary, detail = table.summary.strip(), table.detail.strip()
    return FixedCard(name, table.indicator, summary, detail, table.topic, table.provenance)


def messages(phrases: Phrases) -> dict[str, str]:
    """Our short phrases by key; a phrase of a section is found by section and key, "doubt.no-unit"."""
    flat: dict[str, str] = {}
    for key, value in phrases.items():
        flat |= {key: value} if isinstance(value, str) else {f"{key}.{name}": text for name, text in value.items()}
    return flat


def group_members(
    groups: Mapping[str, Iterable[str]], elements: list[Element], known: frozenset[str], faults: Faults
) -> dict[str, set[str]]:
    """Who belongs to each known group. A group of no members would silently never be true: a fault."""
    members: dict[str, set[str]] = {name: set() for name in known}
    for element in elements:
        for name in groups[element.id]:
            if name in members:
                members[name].add(element.id)
            else:
                faults.unknown(element.place, "group", name, known)
    empty = [name for name, ids in members.items() if not ids]
    if elements and empty:
        faults.add(elements[0].place.partition(" ")[0], f"no member in group {listing(empty)}, which the findings read")
    return members
