"""The six states of a prefetch key, and how what came under it is judged (checklist items 50 to 53, 60 and 61).

Missing is not absent, nothing found is not failed, and a part is not the whole: the rules work on these states. Data
counts by what it is, whatever key it came under: a hospital may type in other names (items 26 and 47a).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from . import templates
from .bundles import Decoded
from .index import (
    ERROR,
    NOTHING_FOUND,
    PARTIAL,
    ROUTINE,
    UNKNOWN,
    UNSUPPORTED,
    Page,
    ResourceIndex,
    is_in_force,
    is_void,
    medication_to_look_up,
    names_no_medicine,
    sort,
)
from .resources import Resource, listed

ABSENT = "absent"  # neither sent nor fetched
NULL = "null"  # sent as null: nothing found
EMPTY = "empty"  # a Bundle without a match: nothing found
INCOMPLETE = "incomplete"  # a part was read, or there may be more than what was
FAILED = "failed"  # an error came instead, or something that is no answer
DATA = "data"
NOT_WHOLE_QUERY = "the server did not use the whole query"
OTHERS_ONLY = "it brought only other people's resources"


NOT_LOOKED_UP = "a medicine is only a reference that could not be looked up"
NOT_UNDERSTOOD = "it cannot be understood which medicine an entry is about"


@dataclass(frozen=True, slots=True)
class KeyState:
    """The state of one prefetch key. `reason` is ours and empty for data; `count` is how many resources came."""

    key: str
    state: str
    reason: str = ""
    count: int = 0
    tried: bool = False  # was it sent, or asked for of a server that may give it? Then a failure is a loss


def judge(pages: Sequence[Page], template: str, unread: str) -> tuple[str, str]:
    """State and reason of a key from what came under it. `unread` says why a further page was not read, if one was not.

    `template` is "" for a key that is the client's own.
    """
    count = sum([len(page.resources) for page in pages])
    outcomes = pages[0].outcomes if len(pages) == 1 else frozenset().union(*(page.outcomes for page in pages))
    kind = templates.resource_type(template)
    if failure := _failure(pages, count, outcomes):
        return FAILED, failure
    if template and count and all(kind not in page.kinds for page in pages):
        return FAILED, f"other resources than {kind}"
    if not count and template and templates.is_read(template):
        return FAILED, f"no {kind} came"
    if pages[0].kind == "null":
        return NULL, "nothing was found"
    if missing := unread or _missing(pages, template, count, outcomes):
        return INCOMPLETE, missing
    return (DATA, "") if count else (EMPTY, "nothing was found")


def _failure(pages: Sequence[Page], count: int, outcomes: frozenset[str]) -> str:
    """Why this is no answer at all, or "". `count`: how many resources came; `outcomes`: what the server said."""
    if pages[0].kind == "other":
        return "not FHIR"
    if ERROR in outcomes:
        return "the server reported an error"
    if pages[0].kind == "resource" and not count and not (outcomes and outcomes <= {NOTHING_FOUND, ROUTINE}):
        return "the server reported a fault" if outcomes else "a resource that cannot be read"
    return ""


def _missing(pages: Sequence[Page], template: str, count: int, outcomes: frozenset[str]) -> str:
    """Why this may not be all, or "". What lasts comes last: it says that nothing else is missing."""
    if PARTIAL in outcomes:
        return "the server reported that a part is missing"
    if UNKNOWN in outcomes and not count:
        return "nothing came but a warning that is not known here"
    if any(page.damaged for page in pages):
        return "an entry could not be read"
    total = pages[0].total
    if total is not None and total.is_finite() and total > count:
        return "fewer results came than the server counted"
    if UNSUPPORTED in outcomes or _ignored_parameters(template, pages[0].self_url):
        return NOT_WHOLE_QUERY
    return ""


def _ignored_parameters(template: str, self_url: str) -> frozenset[str]:
    """Parameters of the template that the server does not repeat; nothing can be said where it repeats no query."""
    if not template or "?" not in self_url or "_getpages=" in self_url:
        return frozenset()
    return templates.filters(template) - templates.filters(self_url)


def _says_no_more(state: str, reason: str) -> bool:
    """Has nothing been said yet that another try might mend?"""
    return state not in (FAILED, ABSENT, INCOMPLETE) or reason == NOT_WHOLE_QUERY


PATIENT = "patient"
TAKEN = ("MedicationRequest", "MedicationStatement")
RESULTS = frozenset(("Observation",))  # nearly all of a call, and none of them names a medicine
REQUIRED = (PATIENT, "b12")


class KeyReading:
    """The pages of one key, what is still to be read, and why it could not be."""

    def __init__(self, key: str, template: str, index: ResourceIndex) -> None:
        self.key, self.template, self._index = key, template, index
        self.pages: list[Page] = []
        self.own: list[Resource] = []  # what came under this key, of other patients too
        self.next_urls: list[str] = []  # further pages that were announced and not read yet
        self.failure = ""  # why the server did not give it
        self.offered = True  # False: of no patient does the server give it, or the call does not say what to ask for
        self.unread = ""  # why a further page was not read

    def add(self, decoded: Decoded) -> None:
        """One answer, or one more page of it."""
        self._add(sort(decoded))

    def replace(self, decoded: Decoded) -> None:
        """The server's answer instead of what the client sent, unless that was a part and this is nothing.

        The resources that the client sent remain on the index in both cases.
        """
        page = sort(decoded)
        if self.pages and self.judged()[0] != FAILED and judge([page], self.template, "")[0] == FAILED:
            self.failure = "the server reported a fault"
            return
        self.pages, self.own, self.next_urls = [], [], []
        self._add(page)

    def _add(self, page: Page) -> None:
        self.pages.append(page)
        self.own += page.resources
        self.next_urls.extend(page.next_urls)
        self._index.put(page)

    def is_own(self, resource: Resource) -> bool:
        """Is the resource about the patient of the context?"""
        return self._index.is_own(resource)

    @property
    def of_another_patient(self) -> bool:
        """Whether this is the key of the Patient, and it holds only others."""
        if self.key != PATIENT:
            return False
        ids = {resource.id for resource in self.own if resource.resource_type == "Patient" and resource.id}
        return bool(ids) and self._index.patient_id not in ids

    def medications_missing(self) -> list[str]:
        """References of the Medications without which an entry of this key names no medicine."""
        if all(page.kinds <= RESULTS for page in self.pages):
            return []
        entries = [each for each in self.own if (each.medication_reference or each.medication) and not is_void(each)]
        missing = [medication_to_look_up(resource, self._index) for resource in entries]
        return [reference for reference in dict.fromkeys(missing) if reference]

    def medicine_not_understood(self) -> bool:
        """Is there an order or a statement in force of which nobody can say what medicine it is about?"""
        if all(page.kinds.isdisjoint(TAKEN) for page in self.pages):
            return False
        return any(
            each.resource_type in TAKEN and is_in_force(each) and names_no_medicine(each, self._index)
            for each in self.own
        )

    def judged(self, template: str | None = None) -> tuple[str, str]:
        """State and reason by what came, for this key's template or for another."""
        if not self.pages:
            return (FAILED, self.failure) if self.failure else (ABSENT, "not sent")
        if self.key != PATIENT and self.own and not any(map(self._index.is_own, self.own)):
            return FAILED, OTHERS_ONLY
        unread = self.unread or ("further pages were not read" if self.next_urls else "")
        return judge(self.pages, self.template if template is None else template, unread)

    def state(self) -> KeyState:
        """The state of this key as it is now. For the Patient it does not matter under which key it came."""
        state, reason = self.judged()
        if self.key == PATIENT:
            if self.of_another_patient:
                state, reason = FAILED, "another patient"
            elif self._index.has_patient:
                return KeyState(self.key, DATA, "", 1)
            elif state not in (FAILED, ABSENT):
                state, reason = FAILED, "a Patient without an id"
        if self.own:
            if _says_no_more(state, reason) and self.medications_missing():
                state, reason = INCOMPLETE, NOT_LOOKED_UP
            if _says_no_more(state, reason) and self.medicine_not_understood():
                state, reason = INCOMPLETE, NOT_UNDERSTOOD
        if state in (FAILED, INCOMPLETE) and self.failure and self.pages:
            reason = f"{reason}; {self.failure}"
        tried = bool(self.pages) or bool(self.failure and self.offered)
        return KeyState(self.key, state, reason, len(self.own), tried)


def state_by_other_keys(key: str, readings: Mapping[str, KeyReading]) -> KeyState:
    """The state of a key that was not had, in the light of what came under others.

    A key of the client's own name, or a known key that holds nothing of its own kind, is taken for this key under
    another name. What merely strayed into another key's answer is a part: that key asked for something else.
    """
    reading = readings[key]
    others = [other for other in readings.values() if other is not reading]
    kind, codes = templates.resource_type(reading.template), templates.codes(reading.template)
    found = [(other, count) for other in others if (count := _count(other, kind, codes))]
    if not found or key == PATIENT:
        return reading.state()
    count = sum(count for _, count in found)
    if any(_has_another_name(other) and other.judged(template="")[0] == DATA for other, _ in found):
        return KeyState(key, DATA, "", count)
    return KeyState(key, INCOMPLETE, "only a part came, under another key", count)


def _has_another_name(reading: KeyReading) -> bool:
    kind = templates.resource_type(reading.template)
    return not reading.template or all(kind not in page.kinds for page in reading.pages)


def _count(reading: KeyReading, kind: str, codes: frozenset[str]) -> int:
    """How many of the patient's own resources of a reading are of this kind and, if there are any, of these codes."""
    if all(kind not in page.kinds for page in reading.pages):
        return 0
    of_kind = [resource for resource in reading.own if resource.resource_type == kind]
    found = [resource for resource in of_kind if not codes or codes & _codes_of(resource)]
    return len([resource for resource in found if reading.is_own(resource)])


def _codes_of(resource: Resource) -> set[str | None]:
    """The codes of a result and of its components."""
    concepts = [resource.code, *(each.code for each in listed(resource.component))]
    flat = [concept for each in concepts if not isinstance(each, str) for concept in listed(each)]
    return {coding.code for concept in flat for coding in listed(concept.coding)}
