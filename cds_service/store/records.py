"""What the store is given and what it gives: plain frozen types, so that nothing above it needs to know a database.

A person appears in clear (`CallParties`) before storing only; what is stored is a pseudonym (`store.pseudonyms`).
Moments are milliseconds since 1970, UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, tzinfo
from typing import Any, Protocol


class StoreDown(Exception):
    """The store could not do it, or not in time. `why` is in our own words: no address, no password, no SQL."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class StoreBusy(StoreDown):
    """This process asks more of the database than it can do just now. Nothing is wrong with the database."""


@dataclass(frozen=True, slots=True)
class CallParties:
    """About whom and by whom a call was made, in clear. Never stored, never logged.

    `base` is the FHIR base that the client named, "" for none; `user` is context.userId.
    """

    client: str
    tenant: str | None
    base: str
    patient: str = field(repr=False)
    user: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Shown:
    """One row that a card showed. A card that absorbed several rows is several of these, under one card id."""

    card: str
    row: str  # "interpret/deficient", "safety/S1", "dismissed/treat/routine"
    indicator: str


@dataclass(frozen=True, slots=True)
class Offered:
    """One suggestion of a card: what it would order."""

    card: str
    suggestion: str
    kind: str  # test | medicine
    draft: str  # id of the orderable or the regimen


@dataclass(frozen=True, slots=True)
class Suppressed:
    """What would have been shown and was not. `what` is a row, or "test:fbc", "medicine:neuro" for a suggestion."""

    what: str
    why: str  # dismissed | accepted | ordered (already, on the day of the call)
    on: date


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """One answered call. `evidence` is the text that `clinical.dismissals.evidence_of` makes of what it rests on; it
    is stored as a keyed digest only."""

    at: int
    who: CallParties
    service: str
    hook: str
    hook_instance: str  # as hooks.messages.log_name gives it
    content: str
    pathway: str
    label: str
    status: int
    silent: bool
    rows: tuple[str, ...]
    missing: tuple[str, ...]
    shown: tuple[Shown, ...]
    offered: tuple[Offered, ...]
    suppressed: tuple[Suppressed, ...]
    evidence: str = field(repr=False)
    ms: float


@dataclass(frozen=True, slots=True)
class FeedbackRecord:
    """One answer of a user to a card. A comment is never stored, only that there was one (item 116)."""

    card: str
    outcome: str  # accepted | overridden
    at: int | None  # outcomeTimestamp
    accepted: tuple[str, ...]  # suggestion ids
    reason: str  # a code, "" for none
    reason_system: str
    commented: bool


@dataclass(frozen=True, slots=True)
class Override:
    """A card that this user has overridden for this patient, on this evidence."""

    on: date  # where the asking service stands
    reason: str


class History(Protocol):
    """What is remembered of one user and one patient."""

    known: bool  # False: the store did not answer in time, and everything is shown

    def dismissed(self, row: str, evidence: str) -> Override | None:
        """The latest override of this row by this user for this patient on the same evidence, if still in force."""

    def accepted(self, kind: str, draft: str) -> date | None:
        """When a suggestion of this order was last accepted for this patient, by anybody, if not long ago."""


@dataclass(frozen=True, slots=True)
class EarlierCall:
    """A call that the store has, and whether it was about one of the patients in question."""

    at: str  # ISO 8601, UTC
    hook: str
    label: str
    rows: tuple[str, ...]
    same_patient: bool


class NoHistory:
    """Nothing is remembered: no store, or one that did not answer."""

    def __init__(self, known: bool = True) -> None:
        self.known = known

    def dismissed(self, row: str, evidence: str) -> Override | None:
        return None

    def accepted(self, kind: str, draft: str) -> date | None:
        return None


@dataclass(frozen=True, slots=True)
class StoreState:
    """How the store is, for /readyz and the metrics. Counts are since the start of this process: decisions `lost`,
    threads that the database kept beyond their time (`late`); `waiting` are decisions not yet written."""

    ok: bool
    why: str = ""
    lost: int = 0
    waiting: int = 0
    late: int = 0


class DecisionStore(Protocol):
    """What the service needs of a store. Thread safe; one per process."""

    def save_decision(self, decision: DecisionRecord) -> None:
        """Note a decision. Never waits and never raises: what cannot be stored is counted as lost."""

    def save_feedback(self, client: str, given: Sequence[FeedbackRecord], at: int) -> None:
        """Note feedback durably before returning, each once however often it is sent; else StoreDown."""

    def history(self, who: CallParties, now: int, zone: tzinfo = UTC) -> History:
        """What is remembered; gives up after 50 ms. Never raises."""

    def first_time(self, issuer: str, jti: str, until: float, now: float) -> bool:
        """Note a token until `until` (seconds since 1970), atomically over all processes; False if it was noted
        before; StoreDown if that is not known in time."""

    def records_of_call(self, hook_instance: str) -> list[dict[str, Any]]:
        """What is stored of that call (`store.maintenance`), for a person who tries the service; else StoreDown."""

    def earlier_call(self, hook_instance: str, parties: Sequence[CallParties]) -> EarlierCall | None:
        """The newest decision of that call by the client of `parties`, who are one patient as the client may have named
        him; None where the store has none, or nobody can say any more whose it was. Else StoreDown."""

    def state(self) -> StoreState:
        """How it is. Never waits longer than 200 ms."""

    def start(self) -> None:
        """A process begins to use it."""

    def close(self) -> None:
        """Write what waits, for a few seconds at most, and let go."""
