"""PlanDefinitions and ActivityDefinitions: the rows of a pathway's tables as actions, and the drafts that they make.

A condition of an action is the name of a definition of the pathway's Library. The interpretation, the course and the
treatment take the first row that holds, the safety table every one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..clinical.tables import Pathway, Provenance, Row, Source
from ..content.content import Content
from ..fhir.drafts import STATUS, medication_request, service_request
from .canonical import Canonical, identifier
from .tables import FIRST_MATCH, Tables

Json = dict[str, Any]
ACTIVITY = "http://terminology.hl7.org/CodeSystem/plan-definition-type"
TITLES = {
    "safety": "safety: every row that holds",
    "course": "the course of treatment: the first row that holds",
    "interpret": "how likely deficiency is: the first row that holds",
    "treat": "the treatment that fits: the first row that holds, where a row asks for one",
}
SELECTION = {"safety": "any", "course": "exactly-one", "interpret": "exactly-one", "treat": "at-most-one"}
EVIDENCE = {
    "primary": "read in a primary source",
    "secondary": "from a secondary digest",
    "design": "a design decision of this project, without a published source",
}


@dataclass(frozen=True, slots=True)
class Plans:
    """Writes the definitions of one pathway."""

    pathway: Pathway
    canonical: Canonical

    def plan(self, table: str) -> Json:
        """The PlanDefinition of a table."""
        rows: tuple[Row, ...] = getattr(self.pathway, table)
        tables = Tables(self.pathway)
        name = f"{identifier(self.pathway.id)}{table.capitalize()}"
        group: Json = {
            "id": table,
            "title": TITLES[table],
            "groupingBehavior": "logical-group",
            "selectionBehavior": SELECTION[table],
            "action": [self.row(row, tables) for row in rows],
        }
        return {
            **self.canonical.about("PlanDefinition", f"{self.pathway.id}-{table}", name),
            "title": f"{self.pathway.title}: {TITLES[table]}",
            "type": {"coding": [{"system": ACTIVITY, "code": "eca-rule"}]},
            "description": description(table),
            "library": [self.canonical.of("Library", identifier(self.pathway.id))],
            "action": [NOT_JUDGED, group],
        }

    def row(self, row: Row, tables: Tables) -> Json:
        """A row: what it says of the patient, from which source, and what it drafts."""
        name = f"{row.table}/{row.id}"
        action: Json = {
            "id": identifier_of(name),
            "title": name,
            "description": row.label or row.summary or row.id,
            **({"textEquivalent": words} if (words := wording(row)) else {}),
            "documentation": [documentation(row.provenance, self.pathway.sources)],
            "condition": [applicable(f"{name} applies")],
        }
        sub = [self.draft(name, f"{name} asks for {test}", test, "test") for test in tables.wanted(row)]
        sub += [self.draft(name, f"{name} drafts {each}", each, "medicine") for each in tables.drafted(row)]
        priority = {"path": "priority", "expression": by_name(f"priority of {name}")}
        return action | {"dynamicValue": [priority]} | ({"action": sub} if sub else {})

    def draft(self, row: str, condition: str, name: str, kind: str) -> Json:
        """The order that a row drafts under that condition."""
        titles = self.pathway.orderables if kind == "test" else self.pathway.regimens
        return {
            "id": identifier_of(f"{row}-{kind}-{name}"),
            "title": titles[name].title,
            "condition": [applicable(condition)],
            "definitionCanonical": self.canonical.of("ActivityDefinition", self.activity_id(kind, name)),
        }

    def activity_id(self, kind: str, name: str) -> str:
        return f"{self.pathway.id}-{kind}-{name}"

    def activities(self, content: Content) -> Iterator[Json]:
        """One ActivityDefinition for each test and each regimen."""
        for orderable in self.pathway.orderables.values():
            about = self.activity("test", orderable.id, orderable.title, orderable.provenance)
            request = service_request(orderable)
            yield about | {"kind": "ServiceRequest", "intent": request["intent"], "code": request["code"]}
        for regimen in self.pathway.regimens.values():
            about = self.activity("medicine", regimen.id, regimen.title, regimen.provenance)
            order = medication_request(regimen, content)
            yield about | {
                "kind": "MedicationRequest",
                "intent": order["intent"],
                "description": regimen.words.strip(),
                "productCodeableConcept": order["medicationCodeableConcept"],
                "dosage": order["dosageInstruction"],
            }

    def activity(self, kind: str, name: str, title: str, provenance: Provenance) -> Json:
        found = self.canonical.about(
            "ActivityDefinition",
            self.activity_id(kind, name),
            f"{identifier(self.pathway.id)}{kind.capitalize()}{identifier(name, '')}",
        )
        # An order that a guideline makes is a draft, for a person to sign; engines make it active by themselves.
        draft = {"path": "status", "expression": {"language": "text/fhirpath", "expression": f"'{STATUS}'"}}
        found |= {"dynamicValue": [draft]}
        return found | {"title": title, "relatedArtifact": [documentation(provenance, self.pathway.sources)]}


def description(table: str) -> str:
    first = table in FIRST_MATCH
    rule = "Of its rows the first whose conditions hold" if first else "Each row whose conditions hold"
    return (
        f"{rule} applies. The conditions are definitions of the Library, whose parameters are findings. Nothing "
        "applies before every finding is known: then the first action names those that are not given. In a text, "
        "{words in braces} stand for a value of the patient's record."
    )


NOT_JUDGED: Json = {
    "id": "not-judged",
    "title": "not judged",
    "description": "Findings are not given, and cannot be computed from the record. This is not a reassurance.",
    "condition": [
        {"kind": "applicability", "expression": {"language": "text/cql-identifier", "expression": "Not judged"}}
    ],
    "dynamicValue": [
        {"path": "description", "expression": {"language": "text/cql-identifier", "expression": "Not judged because"}}
    ],
}


def identifier_of(name: str) -> str:
    """The id of an action: one word."""
    return name.replace("/", "-")


def by_name(definition: str) -> Json:
    return {"language": "text/cql-identifier", "expression": definition}


def applicable(definition: str) -> Json:
    return {"kind": "applicability", "expression": by_name(definition)}


def wording(row: Row) -> str:
    """Title and text of the row's card, with its placeholders."""
    return "\n\n".join(each.strip() for each in (row.summary, row.detail) if each.strip())


def documentation(provenance: Provenance, sources: dict[str, Source]) -> Json:
    """The source of a row or draft, its evidence and the day on which it was last checked."""
    source = sources[provenance.source]
    graded = f"{EVIDENCE[provenance.evidence]}; checked {provenance.checked.isoformat()}"
    found = {
        "type": "citation",
        "label": provenance.evidence,
        "display": source.title,
        "citation": f"{source.title} ({graded})",
    }
    return found | ({"url": source.url} if source.url else {})
