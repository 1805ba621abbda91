"""PlanDefinitions and ActivityDefinitions: the rows of a pathway's tables as actions, and the drafts that they make.

A condition of an action is the name of a definition of the pathway's Library. The interpretation, the course and the
treatment take the first row that holds, the safety table every one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..clinical.advice import DEFICIENCY, belongs, row_name
from ..clinical.tables import Pathway, Provenance, Row, Source
from ..content.content import Content
from ..fhir.drafts import DEFICIENCY_CODING, INTENT, later_request, medication_request, service_request
from .canonical import Canonical, identifier
from .library import DRAFTED
from .notes import PROBLEM_LIST, day_of, drafted, said
from .orders import OrderTable
from .tables import FIRST_MATCH, NOTES, ORDERS, PRIORITY, Tables

Json = dict[str, Any]
ACTIVITY = "http://terminology.hl7.org/CodeSystem/plan-definition-type"
REMOVE = "http://terminology.hl7.org/CodeSystem/action-type"
PROPOSED = "http://hl7.org/fhir/uv/cpg/CodeSystem/cpg-activity-type-cs"  # of HL7's Clinical Practice Guidelines
TITLES = {
    "safety": "safety: every row that holds",
    "course": "the course of treatment: the first row that holds",
    "interpret": "how likely deficiency is: the first row that holds",
    "treat": "the treatment that fits: the first row that holds, where a row asks for one",
    "orders": "what is said of orders that are chosen or signed: every row that holds",
    "notes": "sentences on the cards of rows that speak: every one that holds",
    "follow-up": "what goes with a regimen: orders for a later day, and the entry of the problem list",
}
SELECTION = {"course": "exactly-one", "interpret": "exactly-one", "treat": "at-most-one"}
PARTS = {"orders": ORDERS, "notes": NOTES}  # the part of the Library that must be judged; else that of the chart
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

    def plans(self) -> Iterator[Json]:
        """The PlanDefinition of each table."""
        tables, orders = Tables(self.pathway), OrderTable(self.pathway)
        for table in TITLES:
            rows = {name: row for name, row in tables.rows.items() if row.table == table}
            if table == "orders":
                found = [self.group(table, self.rows(orders, orders.rows)), *self.fixed(orders)]
                found.append(self.group("notes", self.notes(orders)))
            elif table == "notes":
                found = [self.group(table, self.notes(tables))]
            elif table == "follow-up":
                found = [self.group(table, self.later())]
            else:
                found = [self.group(table, self.rows(tables, rows))]
                found += self.fixed(tables) if table == "interpret" else []
            yield self.plan(table, found)

    def plan(self, table: str, actions: list[Json]) -> Json:
        name = f"{identifier(self.pathway.id)}{identifier(table, '')}"
        return {
            **self.canonical.about("PlanDefinition", f"{self.pathway.id}-{table}", name),
            "title": f"{self.pathway.title}: {TITLES[table]}",
            "type": {"coding": [{"system": ACTIVITY, "code": "eca-rule"}]},
            "description": description(table),
            "library": [self.canonical.of("Library", identifier(self.pathway.id))],
            "action": [not_judged(PARTS.get(table, "")), *actions],
        }

    def group(self, table: str, actions: list[Json]) -> Json:
        return {
            "id": table,
            "title": TITLES[table],
            "groupingBehavior": "logical-group",
            "selectionBehavior": SELECTION.get(table, "any"),
            "action": actions,
        }

    def rows(self, tables: Tables, rows: dict[str, Row]) -> list[Json]:
        return [self.row(name, row, tables) for name, row in rows.items()]

    def row(self, name: str, row: Row, tables: Tables) -> Json:
        """A row: what it says of the patient, from which source, and what it drafts or takes away."""
        action: Json = {
            "id": identifier_of(name),
            "title": name,
            "description": row.label or row.summary or row.id,
            **self.words(row.summary, row.detail, row.provenance),
            "condition": [applicable(f"{name} applies")],
        }
        sub = [self.draft(name, f"{name} asks for {test}", test, "test") for test in tables.wanted(row)]
        sub += [self.draft(name, f"{name} drafts {each}", each, "medicine") for each in tables.drafted(row)]
        if row.removes:
            sub.append(
                {
                    "id": identifier_of(f"{name}-removal"),
                    "title": "removal of the order that is asked about",
                    "condition": [applicable(f"{name} removes")],
                    "type": {"coding": [{"system": REMOVE, "code": "remove"}]},
                }
            )
        priority = {"path": "priority", "expression": by_name(f"priority of {name}")}
        return action | {"dynamicValue": [priority]} | ({"action": sub} if sub else {})

    def words(self, summary: str, detail: str, provenance: Provenance) -> Json:
        """Title and text of a card, with its placeholders, and where they come from."""
        text = "\n\n".join(each.strip() for each in (summary, detail) if each.strip())
        documented = {"documentation": [documentation(provenance, self.pathway.sources)]}
        return ({"textEquivalent": text} if text else {}) | documented

    def draft(self, row: str, condition: str, name: str, kind: str) -> Json:
        """The order that a row drafts under that condition."""
        titles = self.pathway.orderables if kind == "test" else self.pathway.regimens
        return {
            "id": identifier_of(f"{row}-{kind}-{name}"),
            "title": titles[name].title,
            "condition": [applicable(condition)],
            "definitionCanonical": self.canonical.of("ActivityDefinition", self.activity_id(kind, name)),
        }

    def fixed(self, tables: Tables) -> list[Json]:
        """The cards about what could not be read, which no row makes."""
        return [
            {
                "id": identifier_of(name),
                "title": name,
                "description": card.summary,
                "priority": PRIORITY[card.indicator],
                **self.words(card.summary, card.detail, card.provenance),
                "condition": [applicable(f"{name} speaks{tables.of_this()}")],
            }
            for name in tables.fixed()
            for card in [self.pathway.fixed[name.partition("/")[2]]]
        ]

    def notes(self, tables: Tables) -> list[Json]:
        """Each note, with the rows on whose cards it stands."""
        found = []
        for note in self.pathway.notes:
            rows = [name for name, row in tables.rows.items() if belongs(note, row)]
            if rows:
                action = {"id": identifier_of(row_name(note)), "title": row_name(note)}
                action |= {"description": f"On the cards of {', '.join(rows)}."}
                action |= self.words("", note.detail, note.provenance)
                found.append(action | {"condition": [applicable(said(note, tables))]})
        return found

    def later(self) -> list[Json]:
        """The follow-ups, and where a site wants it the entry of the problem list."""
        drafts = [(each.id, each.title, drafted(each), "follow-up") for each in self.pathway.follow_ups.values()]
        if self.pathway.problem_list:
            drafts.append((DEFICIENCY, DEFICIENCY_CODING[2], PROBLEM_LIST, "problem"))
        return [
            {
                "id": identifier_of(f"{kind}-{name}"),
                "title": title,
                "condition": [applicable(condition)],
                "definitionCanonical": self.canonical.of("ActivityDefinition", self.activity_id(kind, name)),
            }
            for name, title, condition, kind in drafts
        ]

    def activity_id(self, kind: str, name: str) -> str:
        return f"{self.pathway.id}-{kind}-{name}"

    def activities(self, content: Content) -> Iterator[Json]:
        """One ActivityDefinition for each test, regimen and follow-up, and for the entry of the problem list."""
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
        for each in self.pathway.follow_ups.values():
            about = self.activity("follow-up", each.id, each.title, each.provenance)
            request = later_request(each, self.pathway.orderables.get(each.orderable))
            about["dynamicValue"].append({"path": "occurrence", "expression": by_name(day_of(each))})
            yield about | {"kind": "ServiceRequest", "intent": request["intent"], "code": request["code"]}
        if self.pathway.problem_list:
            yield self.problem()

    def problem(self) -> Json:
        """The entry of the problem list. FHIR has no definition of a Condition: a Task asks for it, as HL7's Clinical
        Practice Guidelines have it; what to enter stands in its description."""
        title = f"{DEFICIENCY_CODING[2]}, for the problem list"
        about = self.activity("problem", DEFICIENCY, title, None)
        code = {"coding": [{"system": PROPOSED, "code": "propose-diagnosis"}], "text": title}
        system, entry, display = DEFICIENCY_CODING
        words = f"Enter {display} ({system} {entry}) on the problem list, provisional until it is signed."
        return about | {"kind": "Task", "intent": INTENT, "description": words, "code": code}

    def activity(self, kind: str, name: str, title: str, provenance: Provenance | None) -> Json:
        found = self.canonical.about(
            "ActivityDefinition",
            self.activity_id(kind, name),
            f"{identifier(self.pathway.id)}{identifier(kind, '')}{identifier(name, '')}",
        )
        # An order that a guideline makes is a draft, for a person to sign; engines make it active by themselves.
        draft = {"path": "status", "expression": by_name(DRAFTED)}
        found |= {"library": [self.canonical.of("Library", identifier(self.pathway.id))], "dynamicValue": [draft]}
        from_ = {"relatedArtifact": [documentation(provenance, self.pathway.sources)]} if provenance else {}
        return found | {"title": title} | from_


def description(table: str) -> str:
    first = table in FIRST_MATCH
    rule = "Of its rows the first whose conditions hold" if first else "Each action whose conditions hold"
    return (
        f"{rule} applies. The conditions are definitions of the Library, whose parameters are findings. Nothing "
        "applies before every finding is known: then the first action names those that are not given. In a text, "
        "{words in braces} stand for a value of the patient's record."
    )


def not_judged(part: str) -> Json:
    """The action that says what is missing."""
    unjudged = f"{part} not judged" if part else "Not judged"
    return {
        "id": "not-judged",
        "title": "not judged",
        "description": "Findings are not given, and cannot be computed from the record. This is not a reassurance.",
        "condition": [applicable(unjudged)],
        "dynamicValue": [{"path": "description", "expression": by_name(f"{unjudged} because")}],
    }


def identifier_of(name: str) -> str:
    """The id of an action: one word."""
    return name.replace("/", "-")


def by_name(definition: str) -> Json:
    return {"language": "text/cql-identifier", "expression": definition}


def applicable(definition: str) -> Json:
    return {"kind": "applicability", "expression": by_name(definition)}


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
