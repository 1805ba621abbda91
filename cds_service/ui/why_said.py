"""What stands on a card beside the words of its row, and where each part comes from: notes, regimens, rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cds_service.clinical.advice import Writer, belongs, matches, named
from cds_service.clinical.decide import Decision
from cds_service.clinical.tables import Pathway, Provenance, Row, Source
from cds_service.evaluate import Answer, Service


@dataclass(frozen=True, slots=True)
class Rest:
    """One part of what a card says: a row, a note or a regimen. `when`: the findings that brought a note."""

    table: str
    id: str
    title: str  # what it says, or what it is called
    when: tuple[str, ...]
    provenance: Provenance
    source: Source

    @property
    def name(self) -> str:
        return f"{self.table}/{self.id}"


def rest(table: str, it: object, title: str, pathway: Pathway, when: tuple[str, ...] = ()) -> Rest:
    """A part of the content that has an id and a provenance."""
    return Rest(table, it.id, title, when, it.provenance, pathway.sources[it.provenance.source])


def rests_on(found: Answer, service: Service, card: str) -> list[Rest]:
    """The rows that a card shows. What was dismissed before is named on a card of its own, which is none of these."""
    pathway = service.pathway
    origins = {each.row: each.provenance for each in found.decision.advice}
    rows = [each.row for each in found.shown if each.card == card and origins.get(each.row)]
    parts = [(*row.split("/", 1), origins[row]) for row in rows]
    return [Rest(table, id, "", (), origin, pathway.sources[origin.source]) for table, id, origin in parts]


def added(row: Row, found: Answer, pathway: Pathway) -> tuple[Rest, ...]:
    """The notes on the card of a row and the regimens it offers; nothing for a row without a card."""
    decision = found.decision
    if named(row) not in {each.row for each in decision.advice}:
        return ()
    return (*notes(row, decision, found, pathway), *regimens(row, decision, found, pathway))


def notes(row: Row, decision: Decision, found: Answer, pathway: Pathway) -> Iterator[Rest]:
    """The sentences that were added to the card of a row."""
    for note in pathway.notes:
        if belongs(note, row) and matches(note, decision.findings) and note.detail.strip():
            text = note.detail.strip().format_map(found.assessment.values | {"regimens": ""})
            yield rest("notes", note, text, pathway, note.when)


def regimens(row: Row, decision: Decision, found: Answer, pathway: Pathway) -> Iterator[Rest]:
    """The treatment schedules on the card of a row."""
    writer = Writer(found.assessment.case, pathway, decision.findings, found.assessment.values)
    for each in writer.suitable(row) if row.regimens else ():
        yield rest("regimens", each, each.title, pathway)
