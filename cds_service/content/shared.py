"""What all pathways share: sources, analytes, concepts and their groups, value sets, words, phrases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path

from cds_service.clinical.tables import Analyte, Source

from . import build
from .codes import ROUTE_CODES, SNOMED, Codes
from .faults import Faults, listing
from .files import Files, Toml
from .prefetch import KEYS
from .shapes import Element, sound
from .site import read_site
from .valuesets import ALLERGIES, CodeRow, drafted_rows, read_value_sets
from .vocabulary import ROUTES, Vocabulary
from .words import Words

Elements = Mapping[str, list[Element]]
NAMED = ("analytes", "problems", "medicines")
NEEDED = (
    "accepted-earlier", "b12-begun", "b12-ordered", "folate-later", "name.b12", "name.active-b12", "today.start",
    "today.allergy",
)  # fmt: skip


class Shared:
    """What all pathways share, built from the elements; lives while the content is loaded, no longer."""

    def __init__(
        self, files: Files, elements: Elements, vocabulary: Vocabulary, faults: Faults, site: Path | None = None
    ):
        self.elements, self.vocabulary, self.faults = elements, vocabulary, faults
        self.sources: dict[str, Source] = {each.id: build.source(each) for each in sound(elements["sources.toml"])}
        self.analytes = self._analytes()
        problems, medicines = elements["problems.toml"], elements["medicines.toml"]
        self.displays = self._displays(elements["analytes.toml"], problems, medicines)
        self.groups = self._groups(problems, medicines)
        messages = elements["messages.toml"]
        self.messages = build.messages(messages[0].table) if sound(messages) else {}
        if sound(messages):
            self._check_messages()
        self.plain_words = self._plain_words(elements["plain-words.toml"])
        self.rows = read_value_sets(files, self._concepts(files), faults)
        self.rows += drafted_rows(self._drafted(files), self.rows, faults)
        self.codes = Codes(self.rows)
        self.words = self._words(files.tables["problems.toml"], problems, medicines)
        self._check_recognised()
        about = elements["site.toml"]
        own = about[0].table if sound(about) else {}
        self.site = read_site(site, own, files.theirs, self.analytes, self.codes, faults)

    def _check_messages(self) -> None:
        """What a card may have to say is there, and what settles a dismissed warning is a reason that can be given."""
        words = self.messages
        for key in KEYS:
            if f"prefetch.{key}" not in words:
                self.faults.add("messages.toml", f"[prefetch] says nothing for {key!r}, which a card may have to name")
        for key in (each for each in NEEDED if each not in words):
            self.faults.add("messages.toml", f"'{key}' is missing, which a card may have to say")
        reasons = {key.removeprefix("override.") for key in words if key.startswith("override.")}
        for key in (key.removeprefix("settles.") for key in words if key.startswith("settles.")):
            if key not in reasons:
                self.faults.unknown("messages.toml [settles]", "override reason", key, reasons)

    def _plain_words(self, elements: list[Element]) -> dict[str, str]:
        """What each finding and threshold means; one that has no words, or is none of ours, is a fault."""
        if not sound(elements):
            return {}
        known = self.vocabulary
        for section, needed, more in (
            ("findings", known.findings, ()),
            ("thresholds", known.thresholds.keys(), known.optional),
        ):
            place, told = f"plain-words.toml [{section}]", elements[0].table.get(section, {})
            for name in sorted(told.keys() - needed - set(more)):
                self.faults.unknown(place, section.removesuffix("s"), name, {*needed, *more})
            if missing := needed - told.keys():
                self.faults.add(place, f"says nothing of {listing(missing)}")
        return build.messages(elements[0].table)

    def _analytes(self) -> dict[str, Analyte]:
        found = {}
        for element in sound(self.elements["analytes.toml"]):
            found[element.id] = build.analyte(element, self.faults)
            build.check_analyte(element, found[element.id], self.faults)
        return found

    def _displays(self, *files: list[Element]) -> dict[str, str]:
        """One display per id: where a problem and a medicine share an id, they share the display."""
        displays: dict[str, str] = {}
        for element in (each for elements in files for each in sound(elements)):
            text = element.table["display"]
            if displays.setdefault(element.id, text) != text:
                self.faults.add(element.place, f"display {text!r}, but elsewhere {displays[element.id]!r}")
        return displays

    def _groups(self, problems: list[Element], medicines: list[Element]) -> dict[str, frozenset[str]]:
        of_problems = build.group_members(problems, self.vocabulary.problem_groups, self.faults)
        of_medicines = build.group_members(medicines, self.vocabulary.medicine_groups, self.faults)
        names = of_problems.keys() | of_medicines.keys()
        return {name: frozenset(of_problems.get(name, set()) | of_medicines.get(name, set())) for name in sorted(names)}

    def _concepts(self, files: Files) -> dict[str, frozenset[str]]:
        """What may follow each kind in a value set's name; an empty set means anything."""
        ids = {name: frozenset(each.id for each in self.elements[f"{name}.toml"]) for name in NAMED}
        orderables = (each.id for name in files.pathways for each in self.elements[f"{name}/orderables.toml"])
        return {
            "lab": ids["analytes"],
            "other": ids["analytes"],
            "order": frozenset(orderables),
            "problem": ids["problems"],
            "medicine": ids["medicines"],
            "allergy": frozenset(ALLERGIES),
            "route": frozenset(ROUTES),
            "specimen": frozenset(),
            "status": frozenset(),
        }

    def _drafted(self, files: Files) -> Iterator[tuple[str, str, Toml]]:
        """(place, concept, coding) of everything that a draft carries because the site says so."""
        for name, (kind, key) in product(files.pathways, (("orderable", "more_codings"), ("regimen", "codings"))):
            place = f"{name}/{kind}s.toml"
            added = [each.get(key, []) for each in files.theirs.get(place, {}).get(kind, [])]
            for each in sound(self.elements[place]):
                concept = f"order-{each.id}" if kind == "orderable" else f"medicine-{each.table['ingredient']}"
                for coding in each.table.get(key, []):
                    if any(coding in codings for codings in added):
                        yield each.place, concept, coding

    def _words(self, settings: Toml, problems: list[Element], medicines: list[Element]) -> Words:
        phrases = {
            "problem": {each.id: each.table.get("words", []) for each in sound(problems)},
            "medicine": {
                each.id: [*each.table.get("words", []), *each.table.get("brands", [])] for each in sound(medicines)
            },
            "analyte": {each.id: each.table.get("words", []) for each in sound(self.elements["analytes.toml"])},
        }
        negations, past = (settings.get(name, []) for name in ("negations", "past"))
        return Words(phrases, negations, past, self.groups.get("lifelong", frozenset()))

    def _check_recognised(self) -> None:
        """A concept that neither code nor word leads to would silently never be found."""
        coded = {row.concept for row in self.rows}
        for kind, file in (("lab", "analytes"), ("problem", "problems"), ("medicine", "medicines")):
            for element in sound(self.elements[f"{file}.toml"]):
                by_words = kind != "lab" and (element.table.get("words") or element.table.get("brands"))
                if f"{kind}-{element.id}" not in coded and not by_words:
                    self.faults.add(element.place, f"nothing is recognised as it: value-sets/{kind}-{element.id}.csv "
                                                   "is missing or empty, and there are no words")  # fmt: skip

    def route_codings(self) -> dict[str, build.Coding]:
        """The first SNOMED coding of each route, else the first of HL7's."""
        found: dict[str, CodeRow] = {}
        for row in self.rows:
            kind, _, route = row.concept.partition("-")
            if kind == "route" and row.system in (SNOMED, ROUTE_CODES):
                known = found.get(route)
                if known is None or (row.system == SNOMED and known.system != SNOMED):
                    found[route] = row
        return {route: (row.system, row.code, row.display) for route, row in found.items()}
