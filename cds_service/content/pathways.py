"""One pathway from its nine files, checked."""

from __future__ import annotations

from cds_service.clinical.tables import Pathway, Regimen

from . import build
from .check import check_pathway
from .faults import Faults
from .files import Toml
from .shapes import Element, sound
from .shared import Shared
from .vocabulary import TABLES
from .wordcheck import check_wording

PARTS = ("pathway", "thresholds", "orderables", "regimens")


def build_pathway(name: str, shared: Shared, faults: Faults) -> Pathway | None:
    """One pathway, checked; None if its pathway.toml cannot be read."""
    parts = {file: shared.elements[f"{name}/{file}.toml"] for file in (*TABLES, *PARTS)}
    if not sound(parts["pathway"]):
        return None
    about = parts["pathway"][0].table
    if about["id"] != name:
        faults.add(f"{name}/pathway.toml", f"id is {about['id']!r}; it must be the folder's name")
    tables = {
        table: tuple(build.row(each, table) for each in sound(parts[table]) if not each.table.get("off"))
        for table in TABLES
    }
    pathway = Pathway(
        id=name,
        title=about["title"],
        version=about["version"],
        sources=shared.sources,
        card_source=about["card_source"],
        thresholds={each.id: build.threshold(each) for each in sound(parts["thresholds"])},
        analytes=shared.analytes,
        groups=shared.groups,
        displays=own_words(name, "displays", about, shared.displays, faults),
        messages=own_words(name, "messages", about, shared.messages, faults),
        regimens=regimens(parts["regimens"], faults),
        orderables={each.id: build.orderable(each) for each in sound(parts["orderables"])},
        fixed={key: build.fixed_card(key, table) for key, table in about["fixed"].items()},
        **tables,
        site_limits=shared.site.limits_for(name),
    )
    known = {
        "orderables": [each.id for each in parts["orderables"]],
        "regimens": [each.id for each in parts["regimens"]],
        "thresholds": [each.id for each in parts["thresholds"]],
        "sources": [each.id for each in shared.elements["sources.toml"]],
        "rows": [f"{table}/{each.id}" for table in TABLES for each in parts[table]],
    }
    check_pathway(pathway, known, shared.vocabulary, faults)
    check_wording(pathway, shared.vocabulary, faults)
    return pathway


def own_words(name: str, kind: str, about: Toml, shared: dict[str, str], faults: Faults) -> dict[str, str]:
    """The shared displays or phrases, with those that the pathway words in its own way (a spelling, a unit)."""
    own = build.messages(about.get(kind, {}))
    for key in own.keys() - shared.keys():
        faults.unknown(f"{name}/pathway.toml {kind}", kind.removesuffix("s"), key, shared)
    return shared | own


def regimens(elements: list[Element], faults: Faults) -> dict[str, Regimen]:
    """The regimens by id, each checked by itself."""
    found = {}
    for element in sound(elements):
        found[element.id] = build.regimen(element, faults)
        build.check_phases(element, found[element.id], faults)
    return found
