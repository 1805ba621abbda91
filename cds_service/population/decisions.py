"""The lines of one patient in an extract become one row of `decisions`, through the same `evaluate` as a hook call.

The lines are sent as the prefetch of a patient-view. A type that was not exported is absent, as a key that a client did
not send; a type that was exported and holds nothing of this patient is empty. Nothing is fetched, and nothing that was
dismissed or accepted at the chart is known.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from datetime import time as time_of_day
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from uuid import NAMESPACE_URL, uuid5

import msgspec

from ..cdshooks.client_config import ClientConfig
from ..cdshooks.registry import DEFAULT_HOOK
from ..cdshooks.requests import HookRequest, surely_too_deep
from ..clinical.decide import SEVERITY
from ..clinical.laboratory import why_not
from ..content.shapes import MeasureEntry
from ..evaluate import CallTime, Evaluation, evaluate
from ..fhir import reasons, templates
from ..fhir.bundles import ENTRIES
from ..fhir.key_states import NOT_LOOKED_UP, NOT_UNDERSTOOD
from ..fhir.resources import Entry, Resource, Search
from .extract import MEDICATION, PATIENT

USER = "PractitionerRole/population-run"  # who asks: nobody at a chart
NOON = time_of_day(12)
OUT_OF_SCOPE = "out-of-scope"
ON_INJECTIONS = "on_im_by_dose"  # the finding: the last injection still counts as treatment
OBSERVATION = "Observation"
OTHER_OBSERVATIONS = "status"  # the key of Observations that no template asks for by their code
UNMAPPED = "its code is not mapped"
ON_ITS_WAY = ("pending", "preliminary")
RIGHTLY = frozenset(reasons.STATUS.values()) - {reasons.NO_STATUS} | {
    reasons.ENTERED_IN_ERROR, reasons.REPLACED, reasons.REFUTED, reasons.DO_NOT_PERFORM, reasons.ANOTHER_TEST,
}  # fmt: skip
ADDED = ("meta", "text")  # to a resource, by its server
SEVERAL = f"{PATIENT}: more than one of this id, and they differ"
CODES = re.compile(rb'"code"\s*:\s*"([^"\\]{1,100})"')
RESOURCE, ANYTHING = msgspec.json.Decoder(Resource), msgspec.json.Decoder(msgspec.Raw)

Line = tuple[str, str, str]  # patient, type of resource ("" where a broken line does not say it), the line


class Row(msgspec.Struct, frozen=True):
    """What was decided about one patient. `label_text` says the label in the words of the cards; `indicator` is that of
    the worst card, "" where there is none; `due` the day of the next injection, of a patient on injections only;
    `not_judged` names type and reason once for each entry that was not used; `unavailable` the prefetch keys that could
    not be had; `measures` the entries of cards/measures.toml that count this patient."""

    patient: str
    label: str
    label_text: str
    rows: tuple[str, ...]
    indicator: str
    drafts: tuple[str, ...]
    course: str
    due: date | None
    not_judged: tuple[str, ...]
    unavailable: tuple[str, ...]
    cards: int
    measures: tuple[str, ...]


@dataclass(frozen=True)
class Asked:
    """What every patient of a run is asked: by which client configuration, on which day, with which exported types."""

    client: ClientConfig
    as_of: date
    exported: frozenset[str]

    @cached_property
    def clock(self) -> CallTime:
        """Noon of that day where the client is. Nobody waits at a chart, so nothing is cut short."""
        return CallTime(datetime.combine(self.as_of, NOON, self.client.zone), seconds=math.inf)

    @cached_property
    def keys(self) -> Mapping[str, tuple[str, ...]]:
        """The prefetch keys that each type of resource answers."""
        found: dict[str, tuple[str, ...]] = {}
        for key, template in self.client.templates.items():
            kind = templates.resource_type(template)
            found[kind] = (*found.get(kind, ()), key)
        return found

    @cached_property
    def key_of_code(self) -> Mapping[str, str]:
        """The prefetch key that asks for an Observation of this code."""
        asked = [(key, self.client.templates[key]) for key in self.keys.get(OBSERVATION, ())]
        return {code: key for key, template in reversed(asked) for code in templates.codes(template)}

    @cached_property
    def types(self) -> frozenset[str]:
        """The types of resource that are read."""
        return types_read(self.client.templates)


def types_read(published: Mapping[str, str]) -> frozenset[str]:
    """The types of resource that these templates ask for, and Medication, to which an order may only refer."""
    found = {templates.resource_type(each) for each in published.values()}
    return frozenset(found | ({MEDICATION} if any(each.startswith(MEDICATION) for each in found) else set()))


def decide_lines(lines: Iterable[Line], asked: Asked) -> Iterator[Row]:
    """The rows of all patients, whose lines stand together."""
    for patient, own in groupby(lines, key=itemgetter(0)):
        by_type: dict[str, list[str]] = {}
        for _, kind, line in own:
            of_type = by_type.setdefault(kind, [])
            if len(of_type) <= ENTRIES:  # one more than are read, so that the reading says that there are more
                of_type.append(line)
        yield decide_patient(patient, by_type, asked)


def decide_patient(patient: str, lines: Mapping[str, Sequence[str]], asked: Asked) -> Row:
    """The row of one patient, from the lines of each type."""
    several, prefetch = are_several(lines.get(PATIENT, ())), prefetch_of(lines, asked)
    if several:  # then none of them is the patient
        prefetch = {key: sent for key, sent in prefetch.items() if key not in asked.keys[PATIENT]}
    request = HookRequest(
        hook=DEFAULT_HOOK,
        hook_instance=str(uuid5(NAMESPACE_URL, patient)),
        patient_id=patient,
        tokens={"userId": USER, "patientId": patient},
        prefetch=prefetch,
    )
    row = row_of(patient, evaluate(request, asked.client, asked.clock), asked)
    return msgspec.structs.replace(row, not_judged=(*row.not_judged, SEVERAL)) if several else row


# The lines as prefetch


def prefetch_of(lines: Mapping[str, Sequence[str]], asked: Asked) -> dict[str, Resource | msgspec.Raw | None]:
    """The prefetch of a call about the patient of these lines."""
    found: dict[str, Resource | msgspec.Raw | None] = {}
    untyped = [(line.encode(), False) for line in lines.get("", ())]  # no JSON: it may be of any type
    medications = [(line.encode(), True) for line in lines.get(MEDICATION, ())]
    for kind, keys in asked.keys.items():
        if kind not in asked.exported:
            continue
        by_key: dict[str, list[tuple[bytes, bool]]] = {key: [*untyped] for key in keys}
        for line in lines.get(kind, ()):
            written = line.encode()
            for key in keys_of(written, kind, asked):
                by_key[key].append((written, False))
        for key, own in by_key.items():
            if kind != PATIENT:
                found[key] = bundle([*own, *medications] if kind.startswith(MEDICATION) and own else own)
            elif own:  # else there is no Patient of that id: absent, as for a client that could not send one
                found[key] = bundle(own)
    return found


def are_several(lines: Sequence[str]) -> bool:
    """Do the Patients of one id differ in more than what a server adds to them? Then they may be two people, as where
    extracts of two servers lie in one folder, and nobody knows whose the results are."""
    if len(lines) < 2:
        return False
    read = [msgspec.json.decode(line) for line in lines if is_json(line.encode())]
    people = [{name: each[name] for name in each if name not in ADDED} for each in read]
    return any(each != people[0] for each in people)


def keys_of(line: bytes, kind: str, asked: Asked) -> tuple[str, ...]:
    """The prefetch keys whose search would have brought this line: one, or all whose search may have, where the line is
    no JSON and names no code."""
    keys = asked.keys[kind]
    if kind != OBSERVATION:
        return keys
    for code in CODES.findall(line):
        if key := asked.key_of_code.get(code.decode("utf-8", "replace")):
            return (key,)
    if not parses(line):
        return keys
    return (OTHER_OBSERVATIONS if OTHER_OBSERVATIONS in keys else keys[-1],)


MATCH, INCLUDED = Search(mode="match"), Search(mode="include")
NO_RESOURCE = Entry()


def bundle(lines: Sequence[tuple[bytes, bool]]) -> Resource | msgspec.Raw:
    """A searchset of these lines, of which some were only included. A line that cannot be decoded is an entry without a
    resource, which leaves its key incomplete; one that does not fit FHIR leaves all of them to the tolerant reading."""
    entries = []
    for line, included in lines:
        try:
            resource = RESOURCE.decode(line)
        except msgspec.ValidationError:
            return written(lines)
        except (msgspec.DecodeError, RecursionError):
            entries.append(NO_RESOURCE)
        else:
            entries.append(Entry(resource=resource, search=INCLUDED if included else MATCH))
    return Resource(resource_type="Bundle", entry=entries)


def written(lines: Sequence[tuple[bytes, bool]]) -> msgspec.Raw:
    """The same as JSON, for the decoder that takes a Bundle entry by entry."""
    entries = [
        b'{"resource":%b,"search":{"mode":"%b"}}' % (line, b"include" if included else b"match")
        if is_json(line)
        else b"{}"
        for line, included in lines
    ]
    return msgspec.Raw(b'{"resourceType":"Bundle","entry":[' + b",".join(entries) + b"]}")


def is_json(line: bytes) -> bool:
    """Is it JSON, and nested no deeper than a hook request may be?"""
    return parses(line) and not surely_too_deep(line)


def parses(line: bytes) -> bool:
    try:
        ANYTHING.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


# What was decided, as a row


def row_of(patient: str, found: Evaluation, asked: Asked) -> Row:
    """What the answer says, without a word of the record."""
    return Row(
        patient=patient,
        label=found.decision.label,
        label_text=label_text(found.decision.label, asked.client.pathway.messages),
        rows=found.decision.rows,
        indicator=max((card["indicator"] for card in found.cards), key=SEVERITY.__getitem__, default=""),
        drafts=tuple(dict.fromkeys(f"{each.kind}:{each.draft}" for each in found.offered)),
        course=found.decision.course,
        due=next_injection(found),
        not_judged=not_judged(found),
        unavailable=tuple(
            key for key in asked.client.templates if key in found.record.unavailable or key in found.missing
        ),
        cards=len(found.cards),
        measures=tuple(each.id for each in asked.client.content.measures if counts(each, found)),
    )


def label_text(label: str, messages: Mapping[str, str]) -> str:
    """What a label means, in a list where no card says of what it speaks; "" of none."""
    return messages["label-in-a-list"].format(label=messages[f"labels.{label}"]) if label else ""


def next_injection(found: Evaluation) -> date | None:
    """The day on which the next injection is due, of a patient on a course of injections. After the last one of a
    course that has ended there is none, and for one who is out of scope nothing is judged."""
    on_course = ON_INJECTIONS in found.decision.findings and found.decision.label != OUT_OF_SCOPE
    return found.assessment.case.course.due if on_course else None


def counts(measure: MeasureEntry, found: Evaluation) -> bool:
    """Does the measure count this patient? One who is out of scope is counted by none."""
    decision = found.decision
    if decision.label == OUT_OF_SCOPE or found.status != 200:
        return False
    if measure.labels and decision.label not in measure.labels:
        return False
    if measure.courses and decision.course not in measure.courses:
        return False
    if measure.any and decision.findings.keys().isdisjoint(measure.any):
        return False
    return decision.findings.keys() >= set(measure.when) and decision.findings.keys().isdisjoint(measure.unless)


def not_judged(found: Evaluation) -> tuple[str, ...]:
    """Type and reason of each entry that is ours and was not used, though nothing in it says that it should not be: a
    site's list of what to put right. A medicine that nobody can name is there once for each prefetch key. What follows
    the colon of a reason may repeat what was sent, and is left out."""
    case, record = found.assessment.case, found.record
    lost = [
        (each.reference.partition("/")[0] or "Bundle", each.reason.partition(":")[0])
        for each in record.ignored
        if each.reason not in RIGHTLY
    ]
    reasons_of_keys = (state.reason for state in found.gathered.states.values())
    lost += [(MEDICATION, reason) for reason in reasons_of_keys if reason in (NOT_LOOKED_UP, NOT_UNDERSTOOD)]
    named = {each.reference for each in record.ignored}
    lost += [(OBSERVATION, UNMAPPED) for each in record.unmapped if each.reference not in named]
    for lab in record.labs:
        if lab != case.b12 and lab.reference not in named:
            why = why_not(case, lab)
            if why and why not in ON_ITS_WAY:
                lost.append((OBSERVATION, case.pathway.messages[f"doubt.{why}"]))
    return tuple(f"{kind}: {reason}" for kind, reason in sorted(lost))
