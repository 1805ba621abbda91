"""The Library of a pathway: its CQL, and what each of its parameters is.

A finding is a parameter. One that is computed from the record counts as computed where it is not given, and is null
where the record holds something that this CQL does not read; one that is not computed must be given.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..clinical.findings import REGISTRY
from ..clinical.tables import Pathway
from ..fhir.drafts import STATUS
from .canonical import Canonical, identifier
from .notes import follow_ups, notes, problem_list
from .orders import OrderTable
from .reading import Reading
from .tables import NOTES, ORDERS, Given, Tables, define, given_beside_findings, listed, ref, text

Json = dict[str, Any]
CQL = "text/cql"
JUDGED = ("Not given", "Judged", "Not judged")  # the three definitions that say whether a part is judged
LIBRARY_TYPE = "http://terminology.hl7.org/CodeSystem/library-type"
MISSING = "Not given at all"  # the definition of what no part of the Library was given or could compute
DRAFTED = "Draft"  # the definition of the status of everything that is drafted
BOOLEAN = "boolean"
ANSWERS = {  # each with whether there may be several; boolean where it says so
    "Judged": (BOOLEAN, "every finding is known that the tables about an open chart read"),
    "Not given": ("*", "findings of these that are not given and could not be computed"),
    "Label": ("1", "how likely deficiency is"),
    "Rows": ("*", "every row that holds, of the safety table, the course, the interpretation and the treatment"),
    "Treat": ("1", "how far the interpretation goes: none, after, consider, now"),
    "Indicators": ("*", "rows that have a card, each with its indicator; and cards about what could not be read"),
    "Tests": ("*", "tests to order"),
    "Regimens": ("*", "regimens to order"),
    "Follow ups": ("*", "what to order for a later day, with a regimen"),
    "Notes judged": (BOOLEAN, "every finding is known that the notes read beside those"),
    "Notes not given": ("*", "findings of these that are not given and could not be computed"),
    "Notes": ("*", "sentences that go with the rows that have a card"),
    "Orders judged": (BOOLEAN, "every finding is known that the table of orders reads beside those of the chart"),
    "Orders not given": ("*", "findings of these that are not given and could not be computed"),
    "Order rows": ("*", "rows of the table of orders that hold: the answer where orders are asked about"),
    "Order indicators": ("*", "those that have a card, each with its indicator"),
    "Order tests": ("*", "tests to order with them"),
    "Order regimens": ("*", "regimens to order with them; not what would take the place of an order"),
    "Order removals": ("*", "rows that offer to take the clinician's own order away"),
    "Order notes": ("*", "sentences that go with them"),
}


@dataclass(frozen=True, slots=True)
class PathwayLibrary:
    """Writes the Library of one pathway. `plain_words` say what a finding means."""

    pathway: Pathway
    plain_words: Mapping[str, str]
    reading: Reading
    canonical: Canonical

    @property
    def name(self) -> str:
        return identifier(self.pathway.id)

    def parameters(self) -> list[Given]:
        """Every parameter, and what it says."""
        findings = [Given(each, self.words(each)) for each in self.findings()]
        return [*findings, *given_beside_findings(self.pathway)]

    def findings(self) -> list[str]:
        """The findings that the tables read, and those from which they are computed."""
        return sorted(name for part in self.reading.findings.values() for name in part)

    def part_of(self, name: str) -> str:
        """For which part of the Library a parameter must be given: "Orders", "Notes", or "" for all of it."""
        return next((part for part, names in self.reading.findings.items() if name in names), "")

    def words(self, name: str) -> str:
        return self.plain_words.get(f"findings.{name}") or REGISTRY.words[f"findings.{name}"]

    def is_computed(self, name: str) -> bool:
        return name in self.reading.computed

    def cql(self) -> str:
        """The whole text."""
        return "\n".join(self.sections())

    def sections(self) -> Iterator[str]:
        """In the order in which they are read. Every parameter has a default, null: an engine in use takes one without
        for something that is there."""
        title, version = self.pathway.title, self.pathway.version
        yield f"/* {title}. Made by b12-cds from its own tables: do not edit. */"
        yield f"library {self.name} version {text(version)}\n\nusing FHIR version '4.0.1'\n"
        for name in self.reading.value_sets:
            yield f"valueset {ref(name)}: {text(self.canonical.url('ValueSet', name))}"
        yield "/* The day on which the record is judged. */\nparameter Day Date default null\n"
        for each in self.parameters():
            yield f"/* {self.kind_of(each.name)}: {each.words} */\nparameter {ref(each.name)} Boolean default null\n"
        yield "context Patient\n"
        yield define("Today", "Coalesce(Day, Today())")
        yield self.reading.definitions
        for each in self.parameters():
            yield define(f"is {each.name}", self.finding(each.name))
        yield from self.judged("", [each.name for each in given_beside_findings(self.pathway)])
        yield from self.judged(ORDERS)
        yield from self.judged(NOTES)
        every = " union ".join(ref(f"{part} not given" if part else "Not given") for part in self.reading.findings)
        yield define(MISSING, every)
        yield define(DRAFTED, text(STATUS))
        tables, orders = Tables(self.pathway), OrderTable(self.pathway)
        yield from tables.definitions()
        yield from orders.definitions()
        yield from notes(tables)
        yield from notes(orders)
        yield from follow_ups(self.pathway)
        yield from problem_list(self.pathway)

    def finding(self, name: str) -> str:
        """The finding as it is given, else as it is computed."""
        computed = self.reading.computed.get(name)
        return f"if {ref(name)} is not null then {ref(name)} else {ref(computed)}" if computed else ref(name)

    def judged(self, part: str, beside: Iterable[str] = ()) -> Iterator[str]:
        """Is every finding of a part known, and if not, which is missing? The orders and the notes need the chart."""
        not_given, judged, unjudged = (f"{part} {each.lower()}" if part else each for each in JUDGED)
        names = [*self.reading.findings[part], *beside]
        found = [f"if {ref(f'is {name}')} is null then {text(name)} else null" for name in names]
        yield define(not_given, f"({listed(found)}) X where X is not null")
        yield define(judged, f"{'' if not part else ref('Judged') + ' and '}not exists {ref(not_given)}")
        yield define(unjudged, f"not {ref(judged)}")
        missing = ref(not_given) if not part else f'"Not given" union {ref(not_given)}'
        yield define(f"{unjudged} because", f"'Not given: ' + Combine({missing}, ', ')")

    def kind_of(self, name: str) -> str:
        if self.is_computed(name):
            return "computed, where it is not given"
        part = self.part_of(name)
        return f"given, for the {part.lower()} alone" if part else "given"

    def resource(self) -> Json:
        """The FHIR Library."""
        day = {"name": "Day", "use": "in", "min": 0, "max": "1", "type": "date", "documentation": "the day that counts"}
        taken = [
            {
                "name": each.name,
                "use": "in",
                "min": 0 if self.is_computed(each.name) or self.part_of(each.name) else 1,
                "max": "1",
                "type": "boolean",
                "documentation": f"{self.kind_of(each.name)}: {each.words}",
            }
            for each in self.parameters()
        ]
        answers = [
            {
                "name": name,
                "use": "out",
                "min": 0,
                "max": "*" if several == "*" else "1",
                "type": BOOLEAN if several == BOOLEAN else "string",
                "documentation": words,
            }
            for name, (several, words) in ANSWERS.items()
        ]
        return {
            **self.canonical.about("Library", self.name, self.name),
            "title": f"{self.pathway.title}: decision tables",
            "type": {"coding": [{"system": LIBRARY_TYPE, "code": "logic-library"}]},
            "description": __doc__.partition("\n\n")[2].strip().replace("\n", " "),
            "parameter": [day, *taken, *answers],
            "content": [{"contentType": CQL, "data": b64encode(self.cql().encode()).decode()}],
        }
