"""After any sequence of duplicates, reorderings, corrections, outages and kills: every patient with something to do has
exactly one open Task, none is lost, none is double, and what a person has touched is as that person left it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from cds_service.http.client import Outgoing
from cds_service.watch.state import State
from cds_service.watch.tasks import Standing, wanted
from cds_service.watch.watcher import Watched, Watcher
from tests.book import service
from tests.depth import chosen
from tests.watch.fhir_store import FhirStore
from tests.watch.patients import KEYS, Clock, Direct, Lines, b12, dose, look, person, watch

Json = dict[str, Any]
PEOPLE = ("p1", "p2")
SLOTS = ("first", "second")  # results of one patient
people, slots = st.sampled_from(PEOPLE), st.sampled_from(SLOTS)
values = st.sampled_from([40, 95, 160, 250, 700])
answers = st.sampled_from(["accepted", "rejected", "in-progress", "completed", "cancelled", "on-hold"])


class KilledError(BaseException):
    """The process ends here, without anything in it having its turn."""


class Mortal(Direct):
    """The server as a watcher sees it that may be killed, or overtaken, just before or just after a write."""

    end = ""  # "before" | "after": the next write
    meanwhile: Callable[[], None] | None = None  # what somebody else does before the next write

    def _write(self, request: Outgoing, now: float) -> int:
        if self.meanwhile is not None:
            others, self.meanwhile = self.meanwhile, None
            others()
        if self.end == "before":
            raise KilledError
        status = super()._write(request, now)
        if self.end == "after":
            raise KilledError
        return status


class FaultSequences(RuleBasedStateMachine):
    """Two watchers of one server, each with its own state, and everybody who works with that server."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="b12-watch-"))
        self.store = FhirStore()
        self.touched: dict[str, Json] = {}  # what people have made of Tasks
        for number in PEOPLE:
            self.store.put(person(number))
        self.watchers = [self.begun(number) for number in range(2)]

    def begun(self, number: int) -> Watcher:
        """A watcher with the state that the last one of that number has left."""
        how = watch(self.store)
        state = State(self.folder / f"{number}.sqlite", KEYS)
        server = Mortal(self.store, how)
        return Watcher(Watched(service("uk-ng239"), how, server, state, Clock(self.store), Lines()))

    def begin_again(self, number: int) -> None:
        """The process is gone; another one begins."""
        self.ended(self.watchers[number])
        self.watchers[number] = self.begun(number)

    def ended(self, watcher: Watcher) -> None:
        watcher.of.state.close()
        watcher.of.server.close()

    def teardown(self) -> None:
        try:
            self.come_to_rest()
            self.check()
        finally:
            for each in self.watchers:
                self.ended(each)
            shutil.rmtree(self.folder)

    # What happens in the hospital

    @rule(who=people, slot=slots, value=values)
    def a_result_arrives_or_is_corrected(self, who: str, slot: str, value: float) -> None:
        self.store.put(b12(who, value, name=slot))

    @rule(who=people, slot=slots)
    def a_result_is_sent_again(self, who: str, slot: str) -> None:
        if there := self.store.resources.get(f"Observation/{slot}-{who}"):
            self.store.put(there)

    @rule(who=people, slot=slots, status=st.sampled_from(["entered-in-error", "cancelled", "final", "corrected"]))
    def the_status_of_a_result_changes(self, who: str, slot: str, status: str) -> None:
        if there := self.store.resources.get(f"Observation/{slot}-{who}"):
            self.store.put({**there, "status": status})

    @rule(who=people, slot=slots, value=values, late=st.integers(1, 250))
    def a_result_is_seen_late(self, who: str, slot: str, value: float, late: int) -> None:
        """It was written some seconds ago, by the server's clock, and can only be found now."""
        now = self.store.now
        Clock(self.store).move(seconds=-late)
        self.store.put(b12(who, value, name=slot))
        self.store.now = now

    @rule(who=people, slot=slots)
    def a_result_is_deleted(self, who: str, slot: str) -> None:
        self.store.resources.pop(f"Observation/{slot}-{who}", None)

    @rule(who=people, given=st.booleans())
    def an_injection_is_recorded_or_withdrawn(self, who: str, given: bool) -> None:
        self.store.put(dose(who, status="completed" if given else "entered-in-error"))

    @rule(who=people, status=answers)
    def somebody_answers_a_task(self, who: str, status: str) -> None:
        for task in self.store.open_tasks:
            if task["for"]["reference"] == f"Patient/{who}":
                self.touched[task["id"]] = self.store.put({**task, "status": status, "note": [{"text": "mine"}]})

    # What happens to the server and to the watchers

    @rule(kind=st.sampled_from(["Condition", "Observation", "Patient", "Task", "MedicationAdministration"]))
    def a_type_of_resource_fails(self, kind: str) -> None:
        self.store.failing.add(kind)

    @rule()
    def the_server_is_down(self) -> None:
        self.store.down = True

    @rule()
    def the_server_is_well_again(self) -> None:
        self.store.down = False
        self.store.failing.clear()

    @rule()
    def an_hour_passes(self) -> None:
        Clock(self.store).move(hours=1)

    @rule(number=st.integers(0, 1), who=people)
    def a_notification_comes(self, number: int, who: str) -> None:
        self.watchers[number].hint([who])
        self.watchers[number].work()

    @rule(number=st.integers(0, 1))
    def results_are_read_and_the_process_is_killed(self, number: int) -> None:
        self.watchers[number].poll()
        self.begin_again(number)

    @rule(number=st.integers(0, 1), end=st.sampled_from(["", "before", "after"]))
    def a_watcher_looks(self, number: int, end: str) -> None:
        self.watchers[number].of.server.end = end
        try:
            look(self.watchers[number])
        except KilledError:
            self.begin_again(number)
        else:
            self.watchers[number].of.server.end = ""

    @rule(number=st.integers(0, 1))
    def the_other_one_overtakes_it(self, number: int) -> None:
        watcher, other = self.watchers[number], self.watchers[1 - number]
        watcher.of.server.meanwhile = lambda: look(other)
        look(watcher)
        watcher.of.server.meanwhile = None

    @rule(number=st.integers(0, 1), who=people, status=answers)
    def somebody_overtakes_it(self, number: int, who: str, status: str) -> None:
        watcher = self.watchers[number]
        watcher.of.server.meanwhile = lambda: self.somebody_answers_a_task(who, status)
        look(watcher)
        watcher.of.server.meanwhile = None

    @rule(number=st.integers(0, 1), who=people, value=values, status=answers)
    def a_correction_is_overtaken_by_an_answer(self, number: int, who: str, value: float, status: str) -> None:
        """Somebody takes the Task in the moment in which its words are to be changed."""
        self.store.put(b12(who, 95, name="first"))
        look(self.watchers[number])
        self.store.put(b12(who, value, name="first", status="corrected"))
        self.somebody_overtakes_it(number, who, status)

    @rule(number=st.integers(0, 1), who=people, value=values, end=st.sampled_from(["before", "after"]))
    def a_result_arrives_and_the_process_is_killed(self, number: int, who: str, value: float, end: str) -> None:
        self.store.put(b12(who, value, name="second"))
        self.a_watcher_looks(number, end)

    @rule(number=st.integers(0, 1), who=people, value=st.sampled_from([41, 42, 43, 44]))
    def a_result_arrives_and_both_are_about_to_write(self, number: int, who: str, value: float) -> None:
        self.store.put(b12(who, value, name="first"))
        self.the_other_one_overtakes_it(number)

    @rule(number=st.integers(0, 1))
    def the_daily_run(self, number: int) -> None:
        self.watchers[number].note_due()
        self.watchers[number].work()

    # What must hold

    @invariant()
    def what_people_have_touched_is_as_they_left_it(self) -> None:
        for name, task in self.touched.items():
            assert self.store.resources[f"Task/{name}"] == task

    @invariant()
    def none_was_made_twice(self) -> None:
        assert self.store.doubles == 0

    @invariant()
    def no_evidence_has_two_open_tasks_of_one_patient(self) -> None:
        opened = [(task["for"]["reference"], Standing(task).digest) for task in self.store.open_tasks]
        assert len(opened) == len(set(opened))

    def come_to_rest(self) -> None:
        """The server is well, and both watchers have had their looks and one daily run."""
        self.the_server_is_well_again()
        for _ in range(3):
            Clock(self.store).move(hours=1, minutes=1)
            for watcher in self.watchers:
                watcher.note_due()
                look(watcher)

    def check(self) -> None:
        for who in PEOPLE:
            watcher = self.watchers[0]
            found = watcher.decided(who)
            asked = wanted(found, watcher.of.watch, watcher.of.client.pathway, watcher.of.client.content)
            tasks = [Standing(each) for each in self.store.tasks if each["for"]["reference"] == f"Patient/{who}"]
            opened = [each for each in tasks if each.is_open]
            answered = asked is not None and any(
                each.digest == asked.digest for each in tasks if each.id in self.touched
            )
            if asked is None or answered:
                assert opened == [], (asked, json.dumps([each.task for each in tasks], indent=1))
            else:
                (task,) = opened
                assert task.says(asked)
        assert all(watcher.waiting == 0 for watcher in self.watchers)
        self.what_people_have_touched_is_as_they_left_it()


@pytest.mark.timeout(7200)
def test_after_any_sequence_of_faults_there_is_one_open_task_for_everybody_with_something_to_do():
    depth = settings(max_examples=chosen(10, 200), stateful_step_count=chosen(14, 30))
    run_state_machine_as_test(FaultSequences, settings=depth)
