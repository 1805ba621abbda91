"""Looks for results that have arrived, decides about their patients as a patient-view, and keeps their Tasks right.

    results since the last look -> patients (state) -> decide -> plan -> write -> look again, until nothing is to change

Every step may be done twice, in another order, or be cut off: what is to be done follows from the record and from the
Tasks that are there, and a patient stays noted until one look has found nothing to change. So nothing needs to be
remembered of what was written. A notification only says whom to look at sooner.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID, uuid5

import msgspec

from ..auth.watching import Watch
from ..cdshooks.client_config import ClientConfig
from ..cdshooks.requests import HookRequest
from ..content.prefetch import code_lists
from ..evaluate import CallTime, Evaluation, evaluate
from ..fetching import FetchFailed
from ..fhir import templates
from ..fhir.key_states import ABSENT, FAILED, INCOMPLETE, NOT_WHOLE_QUERY
from .fhir_server import Conflict, FhirServer, decoded, whom
from .state import Pending, State, Whose, WouldBe
from .tasks import (
    Close,
    Create,
    Rewrite,
    Standing,
    Step,
    Wanted,
    closed,
    is_old,
    plan,
    raised,
    resource,
    wanted,
)

Json = dict[str, Any]

CALLS = UUID("0b8f3d0a-4a59-4ed0-8f3b-0f8f2a4e9d11")  # of the ids of our calls, from which those of drafts follow
USER = "Device/b12-cds-watch"
SECONDS = 120.0  # for reading one patient's record: nobody waits for it as for a chart
IN_A_ROW = 5  # patients that cannot be decided about: then the server is left alone until the next look
AT_ONCE = 200  # patients in one look
LOOKS = 6  # at one patient, until nothing changes
SURE_AFTER = 3  # tries: a part of the record that fails so often is taken as one that this server does not have
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=15), timedelta(hours=1)
AHEAD = timedelta(days=1)  # by which a server's clock may be before ours
VOID = ("entered-in-error", "cancelled")  # of a result
PATIENT = "patient"
NOT_OFFERED = (400, 404)  # of a search over all patients: the server has no such type, or cannot search it so


class Log(Protocol):
    """Where a line is written, in the way of structlog. Counts only: never a patient."""

    def info(self, event: str, **said: Any) -> Any: ...
    def warning(self, event: str, **said: Any) -> Any: ...


class Undecided(Exception):
    """Nothing could be decided now, or the Task could not be written. Its text says why, without address or patient."""


@dataclass(frozen=True, slots=True)
class Watched:
    """One client as it is watched: what it gets, how, by which server and clock, and where it is reported."""

    client: ClientConfig
    watch: Watch
    server: FhirServer
    state: State
    clock: Callable[[], datetime]
    log: Log

    @property
    def whose(self) -> Whose:
        return Whose(self.client.name, self.watch.fhir.url)

    def seconds(self) -> float:
        """Since 1970."""
        return self.clock().timestamp()


@dataclass(slots=True)
class Watcher:
    """Watches one client. Used by one thread."""

    of: Watched
    counts: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0  # open Tasks that nobody has answered for long, at the last look at them

    # Who is to be decided about

    def poll(self) -> bool:
        """Note the patients of all results that have arrived or changed since the last look. Was all of it read?"""
        of = self.of
        start = of.state.read_to(of.client.name)
        if start is None:
            start = of.clock() - timedelta(days=of.watch.look_back_days)
        since = start - timedelta(seconds=of.watch.overlap_seconds)
        newest: datetime | None = None
        try:
            for query in result_queries(of.client, of.watch, since):
                for page in of.server.search(query, of.seconds()):
                    of.state.note_results(of.whose, self.results(page), of.clock())
                    newest = max([*self.moments(page), *([newest] if newest else [])], default=None)
        except FetchFailed as failed:
            self.failed("poll", failed)
            return False
        if newest is not None and newest > start:
            of.state.advance(of.client.name, newest)
        return True

    def results(self, page: Iterable[Json]) -> Iterator[tuple[str, str]]:
        """Each result's version, and whose it is. One without a patient is counted, and concerns nobody."""
        for each in page:
            if each.get("resourceType") != "Observation":
                continue
            patient = whom(each).removeprefix("Patient/")
            self.counts["results" if patient else "results without a patient"] += 1
            if patient:
                yield version_of(each), patient

    def moments(self, page: Iterable[Json]) -> Iterator[datetime]:
        """When each result last changed. One from the future would hide all that come before it: it does not count."""
        latest = self.of.clock() + AHEAD
        for each in page:
            moment = last_updated(each)
            if moment is not None and moment <= latest:
                yield moment

    def hint(self, patients: Iterable[str]) -> None:
        """Note patients that a notification named."""
        self.of.state.note(self.of.whose, patients, self.of.clock())

    def note_due(self) -> bool:
        """Note everybody who may have to be recalled, with a coded cause or deficiency or with B12 on record; and again
        everybody with a recent result, whatever became of it since."""
        of, well = self.of, True
        since = of.clock() - timedelta(days=of.watch.look_back_days)
        for query in (*of.client.content.recall_queries, *result_queries(of.client, of.watch, since)):
            try:
                for page in of.server.search(query, of.seconds()):
                    people = {whom(each).removeprefix("Patient/") for each in page} - {""}
                    of.state.note(of.whose, sorted(people), of.clock())
                    self.counts["candidates"] += len(people)
            except FetchFailed as failed:
                well = well and failed.status in NOT_OFFERED
                self.failed(f"due: {query.partition('=')[0]}", failed)
        return well

    def note_open(self) -> bool:
        """Note everybody with an open Task of ours: what the record answers must be closed. Those that nobody has
        answered for long are made more urgent."""
        of, unanswered = self.of, 0
        try:
            for each in list(of.server.open_tasks(of.seconds())):
                if each.by != of.watch.name:
                    self.counts["open Tasks of another installation"] += 1
                    continue
                self.counts["open Tasks"] += 1
                of.state.note(of.whose, [whom(each.task).removeprefix("Patient/")], of.clock())
                unanswered += is_old(each.task, of.clock(), of.watch.unanswered_days)
                self.raise_if_old(each)
        except FetchFailed as failed:
            self.failed("open Tasks", failed)
            return False
        self.unanswered = unanswered
        if unanswered:
            of.log.warning("watch", client=of.client.name, unanswered=unanswered, days=of.watch.unanswered_days)
        return True

    def raise_if_old(self, each: Standing) -> None:
        """Make an open Task more urgent that nobody answers."""
        of = self.of
        more_urgent = raised(each.task, of.clock(), of.watch.unanswered_days)
        if more_urgent is None or not of.watch.active:
            return
        try:
            of.server.change(each, more_urgent, of.seconds())
        except Conflict:  # somebody is at it
            return
        self.counts["raised"] += 1

    # Deciding

    def work(self) -> int:
        """Decide about those whose turn it is. The number of those who could not be decided about."""
        of, undecided, in_a_row = self.of, 0, 0
        if of.watch.active and (number := of.state.note_counted(of.whose, of.clock())):
            self.counts["counted before"] += number
        while ready := of.state.to_decide(of.client.name, of.clock(), AT_ONCE):
            for each in ready:
                try:
                    self.settle(each)
                except (Undecided, FetchFailed) as why:
                    undecided, in_a_row = undecided + 1, in_a_row + 1
                    self.failed("decide", why)
                    of.state.postpone(of.client.name, each, of.clock() + pause(each.tries))
                    if in_a_row >= IN_A_ROW:
                        return undecided
                else:
                    in_a_row = 0
                    of.state.done(of.client.name, each)
        return undecided

    def settle(self, each: Pending) -> None:
        """Decide about one patient, and write, until a look finds nothing to change."""
        of = self.of
        for _ in range(LOOKS):
            found = self.decided(each.id)
            if found is None:
                self.counts["patients gone"] += 1
                return
            asked = wanted(found, of.watch, of.client.pathway, of.client.content)
            if not of.watch.active:
                self.only_count(each.id, asked)
                return
            gaps = unread(found)
            sure = not gaps or (each.tries >= SURE_AFTER and not found.missing)
            if not self.bring_about(each.id, asked, sure=sure):
                self.counts["decided"] += 1
                if not sure and each.tries < SURE_AFTER:
                    raise Undecided(f"a part of the record could not be read: {', '.join(gaps)}")
                return
        raise Undecided("somebody else keeps changing its Tasks")

    def decided(self, patient_id: str) -> Evaluation | None:
        """The answer to a patient-view about this patient, read now; None if there is no such patient any more."""
        of = self.of
        clock = CallTime(of.clock(), seconds=SECONDS)
        found = evaluate(call_about(patient_id, of.watch.fhir.url), of.client, clock, of.server.fetch(of.seconds()))
        states = found.gathered.states
        if states[PATIENT].state == FAILED and states[PATIENT].reason in GONE:
            return None
        if found.status != 200:
            raise Undecided("required data could not be read")
        return found

    def only_count(self, patient_id: str, asked: Wanted | None) -> None:
        """Silent mode: count the Task that would be there."""
        of = self.of
        if asked is not None:
            day = of.client.today(of.clock())
            would_be = WouldBe(asked.digest, day, asked.severity, asked.rows)
            if of.state.count(of.client.name, patient_id, would_be):
                self.counts["would be written"] += 1

    def bring_about(self, patient_id: str, asked: Wanted | None, *, sure: bool) -> bool:
        """Write what is to be changed. Was anything to be?"""
        of = self.of
        standing = of.server.tasks_of(patient_id, of.seconds())
        withdrawn = asked is None and self.is_withdrawn(standing)
        steps = plan(asked, standing, of.watch.name, sure=sure, withdrawn=withdrawn)
        for step in steps:
            try:
                self.take(step, patient_id, asked)
            except Conflict:
                self.counts["conflicts"] += 1
                return True
        return bool(steps)

    def take(self, step: Step, patient_id: str, asked: Wanted | None) -> None:
        """Take one step. Conflict where somebody else was quicker."""
        of, now = self.of, self.of.clock()
        if isinstance(step, Close):
            of.server.change(step.standing, closed(step.standing.task, step.why, of.client.pathway, now), of.seconds())
            self.counts[step.why] += 1
            return
        assert asked is not None  # a Task is written for what is wanted only
        if isinstance(step, Create):
            task = resource(asked, of.watch, patient_id, now)
            self.counts["created"] += of.server.create(task, asked.digest, of.seconds())
        elif isinstance(step, Rewrite):
            task = resource(asked, of.watch, patient_id, now, over=step.standing.task)
            of.server.change(step.standing, task, of.seconds())
            self.counts["rewritten"] += 1

    def is_withdrawn(self, standing: Iterable[Standing]) -> bool:
        """Does the result that an open Task is about stand no more?"""
        of = self.of
        for each in standing:
            focus = each.task.get("focus", {}).get("reference", "")
            if each.is_open and isinstance(focus, str) and focus.startswith("Observation/"):
                try:
                    found = decoded(of.server.fetch(of.seconds())(focus, CallTime(of.clock()).arrived + SECONDS))
                except FetchFailed as failed:
                    return failed.status in (404, 410)
                return found.get("status") in VOID
        return False

    def failed(self, what: str, why: Exception) -> None:
        """Report what did not work, without a patient."""
        self.counts["failed"] += 1
        if isinstance(why, FetchFailed) and why.status == 401:
            self.of.server.forget_token()
        self.of.log.warning("watch", client=self.of.client.name, what=what, why=str(why))

    @property
    def waiting(self) -> int:
        """How many are still to be decided about."""
        return self.of.state.waiting(self.of.client.name)

    def until_next_look(self) -> float:
        """Seconds to the next look: the interval of the site, or less where somebody's next try comes sooner. A server
        that fails is left alone for the first pause at least."""
        of, interval = self.of, float(self.of.watch.every_seconds)
        next_try = of.state.next_try(of.client.name)
        if next_try is None:
            return interval
        return min(interval, max((next_try - of.clock()).total_seconds(), FIRST_PAUSE.total_seconds()))

    def report(self, event: str) -> Mapping[str, int]:
        """Log what was counted since the last report."""
        counts = {name.replace(" ", "_"): number for name, number in sorted(self.counts.items())}
        self.of.log.info("watch", client=self.of.client.name, what=event, waiting=self.waiting, **counts)
        self.counts.clear()
        return counts


GONE = ("the FHIR server has no such Patient", "it was deleted on the FHIR server")


def call_about(patient_id: str, base: str) -> HookRequest:
    """The patient-view call about a patient, for which everything is still to be read; always of the same id."""
    return HookRequest(
        hook="patient-view",
        hook_instance=str(uuid5(CALLS, f"{base} {patient_id}")),
        patient_id=patient_id,
        tokens={"patientId": patient_id, "userId": USER},
        prefetch={},
        fhir_base=base,
    )


def unread(found: Evaluation) -> list[str]:
    """The keys of what could not be read of the record, and perhaps can later: not what the server gives of no patient,
    or cannot search by patient."""
    states = {key: found.gathered.states[key] for key in sorted(found.gathered.published)}
    return [
        key
        for key, each in states.items()
        if key in found.missing
        or each.state == ABSENT
        or (each.state in (FAILED, INCOMPLETE) and each.tried and each.reason != NOT_WHOLE_QUERY)
    ]


def pause(tries: int) -> timedelta:
    """How long to wait after so many tries."""
    return min(FIRST_PAUSE * (1 << min(tries, 16)), LONGEST_PAUSE)


def result_queries(client: ClientConfig, watch: Watch, since: datetime) -> Iterator[str]:
    """The searches for all watched results that have changed since, the oldest first."""
    codes = sorted({code for key in watch.results for code in templates.codes(client.content.prefetch["full"][key])})
    moment = since.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    for part in code_lists(codes):
        yield f"Observation?code={part}&_lastUpdated=gt{moment}&_sort=_lastUpdated&_count=200"


def last_updated(resource: Json) -> datetime | None:
    """When the server says that it last changed; None where it does not say."""
    meta = resource.get("meta")
    told = meta.get("lastUpdated") if isinstance(meta, dict) else None
    try:
        moment = datetime.fromisoformat(str(told))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def version_of(result: Json) -> str:
    """A text that is the same for the same version of a result only: all of it, for servers number differently."""
    return msgspec.json.encode(result, order="deterministic").decode()
