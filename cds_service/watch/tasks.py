"""The Task that follows from an answer: what it says, when there is one, and what becomes of those that are there.

Pure. The Task holds the cards of the patient-view answer, word for word, their rows as inputs and their drafts as
contained resources. There is at most one open Task (status `requested`) for a patient, whatever it is about. Its
identifier is a digest of the patient and of what the rows that speak rest on: the same evidence, the same Task. The
FHIR server is the only place where it stands which Tasks there are, and how far people have come with them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ..auth.watching import Watch
from ..clinical.advice import holding, row_name
from ..clinical.decide import SEVERITY
from ..clinical.dismissals import DUE, pieces
from ..clinical.tables import Pathway
from ..content.content import Content
from ..evaluate import Evaluation

Json = dict[str, Any]

IDENTIFIER = "urn:uuid:7b0c6f5a-2f0a-4e65-9d0f-6c1f4f3f7a1e"  # the system of the digests
CODES = "urn:uuid:3f1f2a0c-8b64-4a37-a1f9-0d7c9f0f5b52"  # of every other code of ours on a Task
FOLLOW_UP = "b12-follow-up"
RECALLS = (  # rows of the course that call a patient back who opens no chart
    "course/overdue", "course/lapsed", "course/coded-untreated", "course/lifelong", "course/bariatric",
)  # fmt: skip
REQUESTED, CANCELLED, COMPLETED = "requested", "cancelled", "completed"
ANSWERED, WITHDRAWN, SUPERSEDED = "answered", "withdrawn", "superseded"  # why we closed one: [task] in messages.toml
REASONS = (ANSWERED, WITHDRAWN, SUPERSEDED)
OWN = ("identifier", "status", "businessStatus", "intent", "priority", "code", "description", "focus", "for",
       "requester", "input", "contained", "lastModified")  # fmt: skip  # what we write; the rest is others'
PRIORITIES = ("routine", "urgent", "asap", "stat")  # of FHIR, each more urgent than the one before it
PART = "\n\n---\n\n"  # between the parts of a description
NOT_READ = "fixed/incomplete"  # the row of the card that names what could not be read
ROW, PRIORITY = "row", "priority"  # kinds of inputs; the priority that the cards ask for


@dataclass(frozen=True, slots=True)
class Wanted:
    """What there is to do for a patient: one Task."""

    digest: str  # of the patient and the evidence
    severity: str  # the worst indicator among the cards
    priority: str  # of the Task, by that indicator: cards/tasks.toml
    rows: tuple[str, ...]
    title: str
    description: str
    focus: str  # reference of the result that it is about; "" where it is about none
    drafts: tuple[tuple[str, Json], ...]  # label and resource
    label: str
    pathway: str
    content: str  # version and digest


def wanted(found: Evaluation, watch: Watch, pathway: Pathway, content: Content) -> Wanted | None:
    """The Task that an answer asks for; None where there is nothing to do."""
    if not asks_for_something(found, watch):
        return None
    drafts = tuple(
        (action["description"], action["resource"])
        for card in found.cards
        for suggestion in card.get("suggestions", ())
        for action in suggestion["actions"]
        if action["type"] == "create"
    )
    severity = max((card["indicator"] for card in found.cards), key=SEVERITY.__getitem__)
    return Wanted(
        digest=digest_of(found, pathway),
        severity=severity,
        priority=content.priorities[severity],
        rows=tuple(each.row for each in found.shown),
        title=pathway.messages["task.title"],
        description=words(found.cards, drafts, pathway),
        focus=focus_of(found),
        drafts=drafts,
        label=found.decision.label,
        pathway=pathway.id,
        content=f"{content.version} {content.digest[:16]}",
    )


def asks_for_something(found: Evaluation, watch: Watch) -> bool:
    """Is there a card of the least indicator, or a row that recalls the patient?"""
    if any(SEVERITY[card["indicator"]] >= SEVERITY[watch.least] for card in found.cards):
        return True
    if watch.recall_from == "never":
        return False
    least = SEVERITY[watch.recall_from]
    return any(each.row in RECALLS and SEVERITY[each.indicator] >= least for each in found.shown)


def words(cards: Iterable[Json], drafts: Sequence[tuple[str, Json]], pathway: Pathway) -> str:
    """The cards, as they are shown: the summary of each, and its detail; and the tests and reviews among the drafts,
    which a card lists as its suggestions: whoever reads "these tests" must see them."""
    parts = [f"{card['summary']}\n\n{card['detail']}" for card in cards]
    tests = dict.fromkeys(label for label, draft in drafts if draft["resourceType"] == "ServiceRequest")
    if tests:
        parts.append(pathway.messages["task.drafts"].format(drafts="; ".join(tests)))
    return PART.join(parts)


def digest_of(found: Evaluation, pathway: Pathway) -> str:
    """A digest of the patient and of what the rows that speak rest on.

    Not in it: findings that hold beside them, the content's version and the day, and what could not be read. Who has
    answered a Task is not asked again because a ferritin came, the FHIR server was slow or the service was upgraded.
    """
    decision, case = found.decision, found.assessment.case
    said = sorted([each.row, each.indicator] for each in found.shown if each.row != NOT_READ)
    rows = {row_name(row): row for row in (*pathway.safety, *pathway.course, *pathway.interpret, *pathway.treat)}
    names = {name for row, _ in said if row in rows for name in holding(rows[row], decision.findings)}
    told = {
        "patient": case.record.patient.reference,
        "rows": said,
        "findings": {name: pieces(decision.findings[name].because) for name in sorted(names)},
        "due": str(case.course.due) if any(row in DUE for row, _ in said) else "",
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def focus_of(found: Evaluation) -> str:
    """The B12 result that the decision rests on; of an answer that rests on none, the first result that it names."""
    case = found.assessment.case
    if case.b12 is not None:
        return case.b12.reference
    named = (each.reference for finding in found.decision.findings.values() for each in finding.because)
    return next((each for each in named if each.startswith("Observation/")), "")


# The resource


def resource(wanted: Wanted, watch: Watch, patient_id: str, now: datetime, over: Json | None = None) -> Json:
    """The Task as it is written; `over`: the one that is there, of which what is not ours stays."""
    contained = [{**draft, "id": f"draft-{number}"} for number, (_, draft) in enumerate(wanted.drafts, start=1)]
    moment = now.isoformat(timespec="seconds")
    before = {name: value for name, value in (over or {}).items() if name not in OWN}
    task: Json = {
        **before,
        "resourceType": "Task",
        "identifier": [{"system": IDENTIFIER, "value": wanted.digest}],
        "status": REQUESTED,
        "intent": "proposal",
        "priority": priority(wanted, over or {}),
        "code": concept(FOLLOW_UP, wanted.title),
        "description": wanted.description,
        "for": {"reference": f"Patient/{patient_id}"},
        "lastModified": moment,
        "requester": {"type": "Device", "identifier": {"system": CODES, "value": watch.name}, "display": "B12 CDS"},
        "input": inputs(wanted),
    }
    if wanted.focus:
        task["focus"] = {"reference": wanted.focus}
    if contained:
        task["contained"] = contained
    if over is None:
        task["authoredOn"] = moment
        task |= {"owner": {"reference": watch.owner}} if watch.owner else {}
        task |= {"performerType": [{"text": watch.performer}]} if watch.performer else {}
    return task


def priority(wanted: Wanted, before: Json) -> str:
    """As urgent as its worst card; never less than it was, for it may have been raised because nobody answered."""
    before_that = before.get("priority")
    return max(wanted.priority, before_that, key=PRIORITIES.index) if before_that in PRIORITIES else wanted.priority


def raised(task: Json, now: datetime, days: int) -> Json | None:
    """An open Task that nobody has answered for so many days, one step more urgent; None where it is not that old, or
    was raised before."""
    current = task.get("priority", PRIORITIES[0])
    first = next(iter(said(task, PRIORITY)), PRIORITIES[0])
    if not is_old(task, now, days) or current != first or current == PRIORITIES[-1]:
        return None
    return {**task, "priority": PRIORITIES[PRIORITIES.index(current) + 1]}


def is_old(task: Json, now: datetime, days: int) -> bool:
    """Has nobody answered an open Task for so many days?"""
    try:
        since = datetime.fromisoformat(str(task["authoredOn"]))
    except (KeyError, ValueError):
        return False
    return since.tzinfo is not None and now - since >= timedelta(days=days)


def inputs(wanted: Wanted) -> list[Json]:
    """What explains the Task: its rows, label, pathway and content, and how urgent its cards are; and the drafts, by
    their labels."""
    told = [*((ROW, row) for row in wanted.rows), ("label", wanted.label), ("pathway", wanted.pathway),
            ("content", wanted.content), (PRIORITY, wanted.priority)]  # fmt: skip
    drafts = [
        {"type": concept("draft", label), "valueReference": {"reference": f"#draft-{number}", "display": label}}
        for number, (label, _) in enumerate(wanted.drafts, start=1)
    ]
    return [*({"type": concept(kind, kind), "valueString": value} for kind, value in told), *drafts]


def concept(code: str, text: str) -> Json:
    return {"coding": [{"system": CODES, "code": code}], "text": text}


def closed(task: Json, why: str, pathway: Pathway, now: datetime) -> Json:
    """A Task that we close: answered, withdrawn or superseded."""
    status = COMPLETED if why == ANSWERED else CANCELLED
    moment = now.isoformat(timespec="seconds")
    reason = concept(why, pathway.messages[f"task.{why}"])
    return {**task, "status": status, "businessStatus": reason, "lastModified": moment}


# What is there already


@dataclass(frozen=True, slots=True)
class Standing:
    """A Task of this kind that is on the FHIR server."""

    task: Json

    @property
    def id(self) -> str:
        return str(self.task["id"])

    @property
    def version(self) -> str:
        """Its version, without which it cannot be changed safely; "" where the server tells none."""
        return str(self.task.get("meta", {}).get("versionId", ""))

    @property
    def digest(self) -> str:
        found = (each for each in listed(self.task, "identifier") if each.get("system") == IDENTIFIER)
        return next((str(each.get("value", "")) for each in found), "")

    @property
    def by(self) -> str:
        """The name of the installation that wrote it."""
        identifier = self.task.get("requester", {}).get("identifier", {})
        return str(identifier.get("value", "")) if identifier.get("system") == CODES else ""

    @property
    def is_open(self) -> bool:
        return bool(self.task.get("status") == REQUESTED)

    @property
    def closed_by_us(self) -> bool:
        codings = self.task.get("businessStatus", {}).get("coding", [])
        ours = any(each.get("system") == CODES and each.get("code") in REASONS for each in codings)
        return ours and self.task.get("status") in (CANCELLED, COMPLETED)

    @property
    def is_peoples(self) -> bool:
        """Somebody has accepted, rejected or completed it, or whatever else: it is not ours to change."""
        return not self.is_open and not self.closed_by_us

    def says(self, wanted: Wanted) -> bool:
        """Does it say what is wanted, in the same words?"""
        return (
            self.digest == wanted.digest
            and self.task.get("description") == wanted.description
            and self.rows == wanted.rows
        )

    @property
    def rows(self) -> tuple[str, ...]:
        return said(self.task, ROW)


def said(task: Json, kind: str) -> tuple[str, ...]:
    """The texts of the inputs of a kind."""
    return tuple(
        each["valueString"]
        for each in listed(task, "input")
        if any(coding.get("code") == kind for coding in each.get("type", {}).get("coding", ()))
    )


def listed(task: Json, name: str) -> list[Json]:
    value = task.get(name)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


# What is to be done about it


@dataclass(frozen=True, slots=True)
class Create:
    """Write the Task."""


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Let the Task that is there say what is wanted; one that we had closed is open again."""

    standing: Standing


@dataclass(frozen=True, slots=True)
class Close:
    """Close the Task that is there."""

    standing: Standing
    why: str


Step = Create | Rewrite | Close


def plan(wanted: Wanted | None, standing: Sequence[Standing], name: str, *, sure: bool, withdrawn: bool) -> list[Step]:
    """The steps after which a patient has exactly one open Task if there is something to do that nobody has answered,
    and none otherwise. `name`: of this installation. `sure`: all of the record was read; else nothing is closed for
    want of a reason. `withdrawn`: the result that an open Task is about stands no more."""
    opened = sorted((each for each in standing if each.is_open), key=lambda each: (len(each.id), each.id))
    ours = [each for each in opened if each.by == name]
    if wanted is None:
        why = WITHDRAWN if withdrawn else ANSWERED
        return [Close(each, why) for each in ours] if sure else []
    same = [each for each in standing if each.digest == wanted.digest]
    if any(each.is_peoples for each in same):  # it was answered, on this very evidence
        return [Close(each, SUPERSEDED) for each in ours] if sure else []
    if not opened:
        return [Rewrite(same[0])] if same else [Create()]
    kept = next((each for each in opened if each.digest == wanted.digest), opened[0])
    steps: list[Step] = [Close(each, SUPERSEDED) for each in ours if each is not kept]
    if kept.by == name and not kept.says(wanted):
        steps.append(Rewrite(kept))
    return steps
