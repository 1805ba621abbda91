"""The Library of a pathway: its CQL, and what each of its parameters is.

A finding is a parameter. One that is computed from the record counts as computed where it is not given, and is null
where the record holds something that this CQL does not read; one that is not computed must be given.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..clinical.findings import REGISTRY
from ..clinical.tables import Pathway
from .canonical import Canonical, identifier
from .reading import Reading
from .tables import Given, Tables, define, given_beside_findings, listed, ref, text

Json = dict[str, Any]
CQL = "text/cql"
LIBRARY_TYPE = "http://terminology.hl7.org/CodeSystem/library-type"
ANSWERS = {
    "Judged": "every finding is known",
    "Not given": "findings that are not given and could not be computed",
    "Label": "how likely deficiency is",
    "Rows": "every row that holds, of the safety table, the course, the interpretation and the treatment",
    "Treat": "how far the interpretation goes: none, after, consider, now",
    "Indicators": "rows that have a card, each with its indicator",
    "Tests": "tests to order",
    "Regimens": "regimens to order",
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
        return self.reading.findings

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
        for name in self.findings():
            yield define(f"is {name}", self.finding(name))
        yield from self.judged()
        yield from Tables(self.pathway).definitions()

    def finding(self, name: str) -> str:
        """The finding as it is given, else as it is computed."""
        computed = self.reading.computed.get(name)
        return f"if {ref(name)} is not null then {ref(name)} else {ref(computed)}" if computed else ref(name)

    def judged(self) -> Iterator[str]:
        """Is every finding known, and if not, which is missing?"""
        found = [f"if {ref(f'is {name}')} is null then {text(name)} else null" for name in self.findings()]
        beside = [each.name for each in given_beside_findings(self.pathway)]
        found += [f"if {ref(name)} is null then {text(name)} else null" for name in beside]
        yield define("Not given", f"({listed(found)}) X where X is not null")
        yield define("Judged", 'not exists "Not given"')
        yield define("Not judged", 'exists "Not given"')
        yield define("Not judged because", "'Not given: ' + Combine(\"Not given\", ', ')")

    def kind_of(self, name: str) -> str:
        return "computed, where it is not given" if self.is_computed(name) else "given"

    def resource(self) -> Json:
        """The FHIR Library."""
        day = {"name": "Day", "use": "in", "min": 0, "max": "1", "type": "date", "documentation": "the day that counts"}
        taken = [
            {
                "name": each.name,
                "use": "in",
                "min": 0 if self.is_computed(each.name) else 1,
                "max": "1",
                "type": "boolean",
                "documentation": f"{self.kind_of(each.name)}: {each.words}",
            }
            for each in self.parameters()
        ]
        several = ("Not given", "Rows", "Indicators", "Tests", "Regimens")
        answers = [
            {
                "name": name,
                "use": "out",
                "min": 0,
                "max": "*" if name in several else "1",
                "type": "boolean" if name == "Judged" else "string",
                "documentation": words,
            }
            for name, words in ANSWERS.items()
        ]
        return {
            **self.canonical.about("Library", self.name, self.name),
            "title": f"{self.pathway.title}: decision tables",
            "type": {"coding": [{"system": LIBRARY_TYPE, "code": "logic-library"}]},
            "description": __doc__.partition("\n\n")[2].strip().replace("\n", " "),
            "parameter": [day, *taken, *answers],
            "content": [{"contentType": CQL, "data": b64encode(self.cql().encode()).decode()}],
        }
