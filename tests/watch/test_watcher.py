"""A result arrives, and one Task is written: what happens then, step by step."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest

from cds_service.store.pseudonyms import Key, Keys
from cds_service.watch import tasks
from cds_service.watch.fhir_server import FhirServer
from cds_service.watch.measures import NAMESPACE, Look, WatchMetrics
from cds_service.watch.state import State, StateUnusable, Whose
from cds_service.watch.watcher import unread
from tests import golden
from tests.book import service
from tests.law.damages import without
from tests.law.law import Case
from tests.watch.fhir_store import FhirStore, serving
from tests.watch.patients import KEYS, Clock, b12, dose, look, person, watcher


@pytest.fixture
def store():
    """A patient with a B12 of 95 ng/L, which arrived two days ago."""
    found = FhirStore()
    found.put(person("p1"))
    found.put(b12("p1", 95))
    return found


def reported(severity, code):
    """What a server says within a Bundle."""
    return {"resource": {"resourceType": "OperationOutcome", "issue": [{"severity": severity, "code": code}]}}


def business(task):
    return task["businessStatus"]["coding"][0]["code"]


def test_a_low_result_becomes_one_task_by_http(store, tmp_path):
    with serving(store), watcher(store, tmp_path, by=FhirServer) as watching:
        look(watching)
        look(watching)
    (task,) = store.tasks
    assert task["status"] == "requested"
    assert task["for"] == {"reference": "Patient/p1"}
    assert task["focus"] == {"reference": "Observation/b12-p1"}
    assert task["owner"] == {"reference": "Organization/b12-clinic"}
    assert "95 ng/L" in task["description"] and "without waiting for these tests" in task["description"]
    tests = [each["valueReference"]["display"] for each in task["input"] if "valueReference" in each]
    listed = task["description"].rpartition("drafts in this Task:** ")[2].removesuffix(".").split("; ")
    assert "Full blood count and film" in listed and set(listed) < set(tests)
    assert store.writes == [("POST", "Task", 201)]


def test_a_result_in_range_becomes_none(tmp_path):
    store = FhirStore()
    store.put(person("p2"))
    store.put(b12("p2", 700))
    with watcher(store, tmp_path) as watching:
        look(watching)
        assert watching.counts["decided"] == 1
    assert store.writes == []


def test_what_asks_for_a_task_is_the_sites_to_say(store, tmp_path):
    for number, (least, written) in enumerate([("critical", 0), ("warning", 1)]):  # it is a warning
        with watcher(store, tmp_path / str(number), least=least) as watching:
            look(watching)
        assert len(store.tasks) == written


def test_silent_mode_counts_and_writes_nothing(store, tmp_path):
    with watcher(store, tmp_path, active=False) as watching:
        look(watching)
        watching.hint(["p1"])
        watching.work()
        assert watching.of.state.counts("ward") == {"all": 1, "interpret/deficient": 1, "treat/unknown": 1}
    assert store.writes == []


def test_whom_silent_mode_counted_gets_a_task_when_tasks_begin_to_be_written(store, tmp_path):
    """However long ago the result came: longer than the first look of active mode goes back."""
    with watcher(store, tmp_path, active=False) as watching:
        look(watching)
        watching.of.clock.move(days=40)
        look(watching)
    assert b"p1" not in (tmp_path / "watch.sqlite").read_bytes()
    for _ in range(2):
        with watcher(store, tmp_path) as watching:
            look(watching)
            assert watching.of.state.counts("ward") == {"all": 0}
        (task,) = store.tasks
        assert task["for"] == {"reference": "Patient/p1"}
    assert [each[0] for each in store.writes] == ["POST"]


def test_a_corrected_result_supersedes_the_task_in_its_place(store, tmp_path):
    with watcher(store, tmp_path) as watching:
        look(watching)
        (before,) = store.tasks
        store.put(b12("p1", 60, status="corrected"))
        look(watching)
    (after,) = store.tasks
    assert after["id"] == before["id"] and after["status"] == "requested"
    assert after["identifier"] != before["identifier"]
    assert "60 ng/L" in after["description"] and "95 ng/L" not in json.dumps(after, default=float)


@pytest.mark.parametrize("how", ["entered-in-error", "deleted"])
def test_a_result_that_stands_no_more_withdraws_the_task(store, tmp_path, how):
    with watcher(store, tmp_path) as watching:
        look(watching)
        if how == "deleted":
            del store.resources["Observation/b12-p1"]
        else:
            store.put(b12("p1", 95, status=how))
        look(watching)
    (task,) = store.tasks
    assert (task["status"], business(task)) == ("cancelled", tasks.WITHDRAWN)


def test_a_task_that_the_record_answers_is_closed_and_opened_again_when_the_answer_goes(store, tmp_path):
    with watcher(store, tmp_path) as watching:
        look(watching)
        store.put(dose("p1"))
        look(watching)
        (task,) = store.tasks
        assert (task["status"], business(task)) == ("completed", tasks.ANSWERED)
        store.put(dose("p1", status="entered-in-error"))
        watching.note_due()
        watching.work()
    (task,) = store.tasks
    assert task["status"] == "requested" and "businessStatus" not in task


@pytest.mark.parametrize("status", ["accepted", "rejected", "completed", "in-progress", "cancelled"])
def test_what_a_person_has_answered_is_neither_touched_nor_made_again_on_the_same_evidence(store, tmp_path, status):
    with watcher(store, tmp_path) as watching:
        look(watching)
        (task,) = store.tasks
        answered = store.put({**task, "status": status})
        store.put(store.resources["Observation/b12-p1"])
        look(watching)
        assert store.tasks == [answered]
        store.put(b12("p1", 40, name="next", day="2026-01-15"))
        look(watching)
    assert store.resources["Task/t1"] == answered
    (opened,) = store.open_tasks
    assert "40 ng/L" in opened["description"]


def test_neither_another_result_nor_another_version_of_the_content_asks_again(store, tmp_path):
    with watcher(store, tmp_path / "a") as watching:
        look(watching)
    (task,) = store.tasks
    answered = store.put({**task, "status": "rejected"})
    ferritin = {"coding": [{"system": "http://loinc.org", "code": "2276-4"}]}
    store.put({**b12("p1", 80, name="ferritin"), "code": ferritin, "valueQuantity": {"value": 80, "unit": "ug/L"}})
    config = service("uk-ng239")
    newer = replace(config, content=replace(config.content, version="9.9.9", digest="f" * 64))
    with watcher(store, tmp_path / "b", client=newer) as watching:
        look(watching)
    assert store.tasks == [answered]


def test_a_part_of_the_record_that_came_too_late_is_no_other_task():
    case = Case("grey-mma", golden.decoded("grey-mma"), service("uk-ng239"), golden.NOW)
    whole, late = case.answered(case.call), case.answered(without(case.call, "family"))
    assert {each.row for each in late.shown} - {each.row for each in whole.shown} == {tasks.NOT_READ}
    assert tasks.digest_of(late, case.client.pathway) == tasks.digest_of(whole, case.client.pathway)
    assert unread(whole) == [] and unread(late) == ["family"]


def test_a_recall_and_a_result_share_one_task(store, tmp_path):
    store.resources.clear()
    store.put(person("p1"))
    for number, day in enumerate(["2025-06-01", "2025-06-03", "2025-06-06", "2025-06-09", "2025-06-12", "2025-06-15"]):
        store.put({**dose("p1", day), "id": f"dose-{number}"})
    with watcher(store, tmp_path) as watching:
        watching.note_due()
        watching.work()
        (recall,) = store.tasks
        assert set(tasks.Standing(recall).rows) & set(tasks.RECALLS)
        store.put(b12("p1", 60))
        look(watching)
    (task,) = store.tasks
    assert task["id"] == recall["id"]
    assert "60 ng/L" in task["description"] and task["description"] != recall["description"]


def test_a_second_installation_leaves_the_tasks_of_the_first_alone(store, tmp_path):
    with watcher(store, tmp_path / "a") as first, watcher(store, tmp_path / "b", name="other") as second:
        look(first)
        (task,) = store.tasks
        store.put(b12("p1", 60))
        look(second)
        assert store.tasks == [task]
        assert second.counts["open Tasks of another installation"] == 1
        look(first)
    (task,) = store.open_tasks
    assert "60 ng/L" in task["description"]


def test_a_task_that_nobody_answers_is_raised_once_and_reported(store, tmp_path):
    with watcher(store, tmp_path) as watching:
        look(watching)
        Clock(store).move(days=8)
        look(watching)
        look(watching)
        assert any(line.get("unanswered") == 1 for line in watching.of.log.lines)
        assert watching.counts["raised"] == 1
    (task,) = store.tasks
    assert task["priority"] == "asap" and task["status"] == "requested"


def test_a_part_that_cannot_be_read_is_tried_again_and_closes_nothing(store, tmp_path):
    with watcher(store, tmp_path) as watching:
        look(watching)
        store.put(dose("p1"))
        store.failing.add("Condition")
        look(watching)
        assert [task["status"] for task in store.tasks] == ["requested"] and watching.waiting == 1
        store.failing.clear()
        Clock(store).move(minutes=5)
        watching.work()
        assert watching.waiting == 0
    assert [task["status"] for task in store.tasks] == ["completed"]


@pytest.mark.parametrize("how", ["missing", "unsearched"])
def test_what_a_server_will_never_have_holds_nothing_up(store, tmp_path, how):
    getattr(store, how).add("FamilyMemberHistory")
    with watcher(store, tmp_path) as watching:
        look(watching)
        assert [task["status"] for task in store.tasks] == ["requested"]
        store.put(b12("p1", 95, status="entered-in-error"))
        look(watching)
        assert watching.waiting == 0
    (task,) = store.tasks
    assert (task["status"], business(task)) == ("cancelled", "withdrawn")


@pytest.mark.parametrize(
    "says",
    [
        {"total": 2},
        {"entry": [reported("error", "timeout")]},
        {"entry": [reported("warning", "incomplete")]},
        {"link": [{"relation": "next"}]},
        {"link": [{"relation": "next", "url": None}]},
        {"link": [{"relation": "next", "url": ""}]},
        {"link": "none"},
    ],
    ids=[
        "a total above what came",
        "an error among the matches",
        "a part is missing",
        "a next page without an address",
        "a next page whose address is null",
        "a next page whose address is empty",
        "links that are none",
    ],
)
def test_a_search_that_says_that_it_is_a_part_is_read_again(store, tmp_path, monkeypatch, says):
    """The newest result came, an older one did not: what was read to must not move on."""
    store.now += timedelta(hours=1)
    store.put(person("p2"))
    store.put(b12("p2", 90))
    whole = store._searched

    def withheld(kind, query):
        found = whole(kind, query)
        if "_lastUpdated" not in dict(query):
            return found
        newer = [each for each in found["entry"] if each["resource"]["id"] == "b12-p2"]
        return {**found, **says, "entry": [*newer, *says.get("entry", ())]}

    with serving(store), watcher(store, tmp_path, by=FhirServer) as watching:
        with monkeypatch.context() as patched:
            patched.setattr(store, "_searched", withheld)
            look(watching)
        assert [each["for"]["reference"] for each in store.tasks] == ["Patient/p2"]
        look(watching)
    assert sorted(each["for"]["reference"] for each in store.tasks) == ["Patient/p1", "Patient/p2"]


def test_what_a_look_counts_is_what_the_series_say(store, tmp_path):
    metrics = WatchMetrics()

    def series():
        return {each.name.removeprefix(f"{NAMESPACE}_"): each.value for family in metrics.registry.collect()
                for each in family.samples if each.labels in ({}, {"what": "created"}, {"read": "failed"})}  # fmt: skip

    with watcher(store, tmp_path) as watching:
        for down in (True, False):
            store.down = down
            whole = watching.poll()
            watching.work()
            counts = dict(watching.counts)
            metrics.look(Look(whole, 100.0, watching.waiting, watching.unanswered, counts))
            watching.report("look")
            said = series()
            assert (said["failures_total"], said["last_look_timestamp_seconds"]) == ((1, 0) if down else (1, 100))
            assert (said["tasks_total"], said["decided_total"]) == ((0, 0) if down else (1, 1))
    assert said["looks_total"] == 1 and said["waiting"] == 0
    metrics.notified(taken=3, refused=2)
    assert metrics.registry.get_sample_value(f"{NAMESPACE}_notifications_total", {"outcome": "refused"}) == 2


def test_after_an_outage_everything_that_came_meanwhile_is_found(store, tmp_path):
    with watcher(store, tmp_path) as watching:
        store.down = True
        look(watching)
        assert watching.counts["failed"] and store.tasks == []
        Clock(store).move(hours=1)
        store.down = False
        look(watching)
    assert len(store.open_tasks) == 1


def test_nothing_that_is_logged_or_stored_names_a_patient(tmp_path):
    store = FhirStore()
    store.put(person("NHS-943-476-5919"))
    store.put(b12("NHS-943-476-5919", 95))
    store.failing.add("Condition")
    with watcher(store, tmp_path) as watching:
        look(watching)
        watching.report("look")
        assert watching.waiting == 1
        assert "943" not in json.dumps(watching.of.log.lines)
    files = [each.read_bytes() for each in tmp_path.iterdir()]
    assert files and not any(b"943-476" in each for each in files)


def test_keys_may_be_rotated_and_a_key_that_is_gone_is_asked_for(tmp_path):
    file, whose, now = tmp_path / "w.sqlite", Whose("ward", "https://ehr.example.org/fhir"), FhirStore().now
    newer = Key("second", b"n" * 32)
    first = State(file, KEYS)
    first.note_results(whose, [("a version", "p1")], now)
    first.close()
    rotated = State(file, Keys((newer, *KEYS.all)))
    assert [each.id for each in rotated.to_decide("ward", now, 9)] == ["p1"]
    assert rotated.note_results(whose, [("a version", "p1")], now) == 0
    rotated.note(whose, ["p1"], now)
    (only,) = rotated.to_decide("ward", now, 9)
    rotated.done("ward", only)
    rotated.note(whose, ["p2"], now)
    rotated.close()
    with pytest.raises(StateUnusable, match="under the key second, which is not in the key file"):
        State(file, KEYS)


def as_the_first_version(file, counted=()):
    """The file as the first version would have it: `counted` without the columns that say whose the Tasks are."""
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("DROP TABLE counted")
        connection.execute(
            "CREATE TABLE counted (client VARCHAR(64) NOT NULL, mark VARCHAR(64) NOT NULL, day VARCHAR(10) NOT NULL, "
            "indicator VARCHAR(16) NOT NULL, rows TEXT NOT NULL, CONSTRAINT pk_counted PRIMARY KEY (client, mark))"
        )
        rows = [("ward", f"mark {day}", day, "warning", "[]") for day in counted]
        connection.executemany("INSERT INTO counted VALUES (?, ?, ?, ?, ?)", rows)
        connection.execute("PRAGMA user_version = 1")


def test_a_state_of_the_first_version_is_upgraded_in_its_place(store, tmp_path):
    with watcher(store, tmp_path) as watching:
        watching.poll()
        assert watching.waiting == 1
        read_to = watching.of.state.read_to("ward")
    as_the_first_version(tmp_path / "watch.sqlite")
    with watcher(store, tmp_path) as watching:
        assert (watching.waiting, watching.of.state.read_to("ward")) == (1, read_to)
        look(watching)
        assert watching.of.state.counts("ward") == {"all": 0}
    assert [task["status"] for task in store.tasks] == ["requested"]


def test_a_state_that_does_not_say_whom_silent_mode_counted_is_refused_until_they_are_looked_at_again(store, tmp_path):
    store.now -= timedelta(days=40)
    store.put(b12("p1", 95, "2025-12-01"))
    store.now += timedelta(days=40)
    with watcher(store, tmp_path, look_back_days=60, active=False) as watching:
        look(watching)
    file = tmp_path / "watch.sqlite"
    as_the_first_version(file, ["2025-12-06", "2025-12-05"])
    before = file.read_bytes()
    with pytest.raises(StateUnusable, match="counted 2 Tasks in it since 2025-12-05 without noting whose they are"):
        State(file, KEYS)
    assert file.read_bytes() == before
    file.rename(tmp_path / "old.sqlite")
    with watcher(store, tmp_path, look_back_days=90) as watching:
        look(watching)
    assert [task["status"] for task in store.tasks] == ["requested"]


def test_a_file_of_something_else_is_no_state(tmp_path):
    file = tmp_path / "w.sqlite"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE seen (client TEXT)")
    with pytest.raises(StateUnusable, match="its table seen has no column at, mark"):
        State(file, KEYS)


def test_the_next_look_comes_sooner_where_somebody_waits_for_a_retry(store, tmp_path):
    with watcher(store, tmp_path, every_seconds=3600) as watching:
        assert watching.until_next_look() == 3600
        store.failing.add("Condition")
        look(watching)
        assert watching.until_next_look() == 15
        for _ in range(2):
            Clock(store).move(minutes=5)
            watching.work()
        assert watching.until_next_look() == 60
        Clock(store).move(hours=3)
        assert watching.until_next_look() == 15  # a server that fails is left alone for so long
        store.failing.clear()
        watching.work()
        assert watching.until_next_look() == 3600


def test_one_process_at_a_time_goes_on_watching_and_the_daily_run_may_join_it(tmp_path):
    file = tmp_path / "w.sqlite"
    one = State(file, KEYS)
    with pytest.raises(StateUnusable, match="another `b12-cds watch` uses it already"):
        State(file, KEYS)
    State(file, KEYS, alone=False).close()
    one.close()
    State(file, KEYS).close()


def test_a_patient_that_is_noted_while_being_decided_about_is_decided_about_again(tmp_path):
    state, whose, now = State(tmp_path / "w.sqlite", KEYS), Whose("ward", ""), FhirStore().now
    state.note(whose, ["p1"], now)
    (taken,) = state.to_decide("ward", now, 9)
    state.note(whose, ["p1"], now)
    state.done("ward", taken)
    assert state.waiting("ward") == 1
    state.close()


def test_a_patient_who_is_gone_is_no_more_waited_for(store, tmp_path):
    with watcher(store, tmp_path) as watching:
        watching.hint(["nobody"])
        watching.work()
        assert watching.waiting == 0 and watching.counts["patients gone"] == 1
    assert store.tasks == []


def test_a_result_dated_into_the_future_hides_none_that_comes_after_it(store, tmp_path):
    future = store.put(b12("p1", 95))
    store.resources["Observation/b12-p1"] = {
        **future,
        "meta": {**future["meta"], "lastUpdated": "2099-01-01T00:00:00Z"},
    }
    store.put(person("p2"))
    with watcher(store, tmp_path) as watching:
        look(watching)
        Clock(store).move(days=3)
        store.put(b12("p2", 95))
        look(watching)
    assert {task["for"]["reference"] for task in store.open_tasks} == {"Patient/p1", "Patient/p2"}
