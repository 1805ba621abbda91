"""Metrics: counted right, over several processes, with labels that nobody can make up (issue 5, part 6)."""

from __future__ import annotations

import json
import re
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from cds_service.app import create_app
from cds_service.content.content import load_content
from cds_service.content.files import cards_folder
from cds_service.fhir import reasons
from cds_service.metrics import IGNORED, About, Looks, Metrics, Names, names_of, rows_of
from cds_service.settings import Settings
from cds_service.store.records import StoreState
from tests import endings
from tests.hooks.calling import PATH, body
from tests.hooks.living import prefetch
from tests.hooks.processes import (
    SOON,
    answers,
    call,
    descendants,
    ends_well,
    free_port,
    one_line,
    run,
    run_apart,
    running,
    taken_port,
    until,
    with_pid,
)

NAMES = Names(frozenset(["ward"]), frozenset(["patient-view"]), frozenset(["interpret/deficient"]), frozenset(["b12"]))
ABOUT = About("1.0", "2.0", frozenset(["uk-ng239"]), lambda: False)
texts = st.text(max_size=30)


def metrics(**changed: Any) -> Metrics:
    return Metrics(NAMES, About(**{"version": "1.0", "content": "2.0", "pathways": ABOUT.pathways,
                                   "review_passed": ABOUT.review_passed, **changed}))  # fmt: skip


def samples(told: bytes) -> dict[tuple[str, ...], float]:
    """(name, label values in the order of their names) -> value."""
    return {
        (sample.name.removeprefix("b12_cds_"), *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(told.decode())
        for sample in family.samples
    }


def counted(measures: Metrics) -> dict[tuple[str, ...], float]:
    return samples(generate_latest(measures.registry))


def found(row: str = "interpret/deficient", indicator: str = "info", status: int = 200, **changed: Any) -> Any:
    """An answer of the pipeline, as far as it is counted."""
    parts = {
        "status": status,
        "shown": (SimpleNamespace(card="c", row=row, indicator=indicator),),
        "missing": (),
        "remembered": True,
        "warnings": (),
        "record": SimpleNamespace(ignored=()),
        "gathered": SimpleNamespace(states={}),
    }
    return SimpleNamespace(**{**parts, **changed})


def test_a_call_is_counted_by_who_which_and_how():
    measures = metrics()
    measures.call("ward", "patient-view", False, found(), fhir="ready", seconds=0.02)
    measures.call("ward", "patient-view", True, found(), fhir="none passed", seconds=0.02)
    measures.call(
        "ward", "patient-view", False, found(status=412, shown=(), missing=("b12",)), fhir="no token", seconds=3.0
    )
    told = counted(measures)
    assert told["calls_total", "ward", "patient-view", "no", "200"] == 1
    assert told["calls_total", "ward", "patient-view", "yes", "200"] == 1
    assert told["calls_total", "ward", "patient-view", "no", "412"] == 1
    assert told["rows_shown_total", "info", "interpret/deficient"] == 1, "a silent client was shown nothing"
    assert told["missing_total", "b12"] == 1
    assert told["call_seconds_bucket", "patient-view", "0.025"] == 2
    assert told["call_seconds_count", "patient-view"] == 3
    assert {key[1] for key in told if key[0] == "fhir_access_total"} == {"ready", "none passed", "refused"}


def test_what_was_ignored_is_counted_by_the_reason_and_not_by_what_it_names():
    measures = metrics()
    given_reasons = [reasons.FUTURE, reasons.of_specimen("urine"), "cannot be read: some.path", "made up"]
    ignored = tuple(SimpleNamespace(reference="x", reason=each) for each in given_reasons)
    measures.call(
        "ward", "patient-view", False, found(record=SimpleNamespace(ignored=ignored)), fhir="ready", seconds=0.1
    )
    told = {key[1] for key in counted(measures) if key[0] == "ignored_total"}
    assert told == {reasons.FUTURE, "specimen", "cannot be read", "other"}


def test_a_series_that_an_alert_watches_is_there_before_the_first_fault():
    """A rate sees a rise from 0 to 1, and nothing where the first value is 1."""
    told = counted(metrics())
    assert [told["refused_total", status] for status in ("401", "500", "503")] == [0, 0, 0]
    assert told["missing_total", "b12"] == 0


def test_every_reason_is_in_the_closed_set():
    constants = {value for name, value in vars(reasons).items() if name.isupper() and isinstance(value, str)}
    assert constants | set(reasons.STATUS.values()) <= IGNORED


def test_refusals_feedback_and_parts_are_counted():
    measures = metrics()
    for status in (401, 401, 503, 999):
        measures.refused(status)
    measures.feedback("ward", ["accepted", "overridden", "accepted"])
    measures.feedback_not_kept(3)
    measures.parts(read=0.001, decide=0.3)
    told = counted(measures)
    assert told["feedback_not_kept_total",] == 3
    assert (told["refused_total", "401"], told["refused_total", "503"], told["refused_total", "other"]) == (2, 1, 1)
    assert told["feedback_total", "ward", "accepted"] == 2
    assert told["part_seconds_bucket", "0.2", "decide"] == 0
    assert told["part_seconds_bucket", "0.5", "decide"] == 1


def test_what_is_in_work_is_counted_while_it_is_and_not_after_it_failed():
    measures = metrics()
    with measures.in_work(), measures.in_work():
        assert counted(measures)["calls_in_work",] == 2
    with pytest.raises(ZeroDivisionError), measures.in_work():
        raise ZeroDivisionError
    assert counted(measures)["calls_in_work",] == 0


def test_how_the_store_and_the_content_stand_is_looked_at():
    measures = metrics(review_passed=lambda: True)
    states = iter([StoreState(True, "", 0, 4), StoreState(False, "down", 5, 6), StoreState(True, "", 7, 0)])
    looks = Looks(measures.registry, measures._about, measures._lost, lambda: next(states))
    told = []
    for _ in range(3):
        looks.look()
        told.append(counted(measures))
    assert [each["store_lost_total",] for each in told] == [0, 5, 7]
    assert [each["store_waiting",] for each in told] == [4, 6, 0]
    assert [each["store_ok",] for each in told] == [1, 0, 1]
    assert told[0]["content_review_passed",] == 1
    assert told[0]["content_info", "2.0", "uk-ng239", "1.0"] == 1


@given(st.lists(texts, min_size=9, max_size=9), st.integers())
def test_no_label_can_be_made_up(words, status):
    """Whatever a request could say: each label is one that was known before, or "other"."""
    client, hook, row, indicator, key, state, reason, access, outcome = words
    measures = metrics()
    answer = found(
        row, indicator, status,
        missing=(key,),
        record=SimpleNamespace(ignored=(SimpleNamespace(reference=row, reason=reason),)),
        gathered=SimpleNamespace(states={key: SimpleNamespace(state=state)}),
    )  # fmt: skip
    measures.call(client, hook, False, answer, fhir=access, seconds=0.1)
    measures.refused(status)
    measures.feedback(client, [outcome])
    measures.parts(**{key or "x": 0.1})
    known = {"ward", "patient-view", "interpret/deficient", "b12", "other", "yes", "no", "read", "decide", "info"}
    known |= {"warning", "critical", "accepted", "overridden", "ready", "none passed", "refused"} | IGNORED
    known |= {"absent", "null", "empty", "incomplete", "failed", "data", "begun", "shown", "denied", "turned-away"}
    labels = {value for family in measures.registry.collect() for each in family.samples
              for name, value in each.labels.items() if name != "le"}  # fmt: skip
    assert {each for each in labels - known if not re.fullmatch(r"[1-5]\d\d", each)} == set()


def test_every_row_of_the_content_has_its_name():
    pathways = load_content(cards_folder()).pathways
    for pathway in pathways.values():
        rows = rows_of(pathway)
        assert {f"safety/{row.id}" for row in pathway.safety} <= set(rows)
        assert {f"dismissed/treat/{row.id}" for row in pathway.treat} <= set(rows)
    names = names_of(["a"], ["b"], pathways.values(), ["c"])
    assert "orders/" + pathways["uk-ng239"].orders[0].id in names.rows


def test_where_nobody_asks_nothing_is_counted():
    site = create_app(Settings(demo=True, store_url="none")).extensions
    assert "prometheus" not in str(site)


CALL = json.dumps(body(prefetch=prefetch())).encode()


def asked(port: int) -> dict[tuple[str, ...], float]:
    """What the metrics' process says, which may begin a little later than the service."""
    endings.until(lambda: listens(port))
    status, _, told = call(port, "GET", "/metrics")
    assert status == 200
    return samples(told)


def listens(port: int) -> bool:
    with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), SOON):
        return True
    return False


def calls_counted(port: int) -> float:
    return sum(value for key, value in asked(port).items() if key[0] == "calls_total")


def is_counted(port: int, calls: float) -> Callable[[], bool]:
    return lambda: calls_counted(port) >= calls


def test_several_workers_count_together_and_one_that_is_killed_takes_no_count_with_it(tmp_path):
    port, metrics_port = free_port(), free_port()
    settings = {"CDS_METRICS_PORT": str(metrics_port), "CDS_WORKERS": "2", "TMPDIR": str(tmp_path)}
    with running("serve", "--demo", "--port", str(port), **settings) as process:
        until(answers(port), process)
        for _ in range(30):
            assert call(port, "POST", PATH, CALL)[0] == 200
        assert call(port, "POST", PATH, b"{")[0] == 400
        assert calls_counted(metrics_port) == 30
        workers = [pid for pid in descendants(process.pid) if pid != teller(process.pid)]
        assert len(workers) == 2
        for worker in workers:
            with_pid(worker, signal.SIGKILL)
        until(lambda: len(set(descendants(process.pid)) - {*workers}) == 3, process)
        until(answers(port), process)
        for _ in range(10):
            assert call(port, "POST", PATH, CALL)[0] == 200
        told = asked(metrics_port)
        assert sum(value for key, value in told.items() if key[0] == "calls_total") == 40
        assert told["refused_total", "400"] == 1
        until(lambda: asked(metrics_port)["store_ok",] == 1, process)
        assert call(port, "GET", "/metrics")[0] == 404
        ends_well(process, signal.SIGTERM)
    assert not list(tmp_path.iterdir())


def teller(parent: int) -> int:
    """The process that tells the metrics."""
    (found,) = [pid for pid in descendants(parent) if b"metrics_server" in cmdline(pid)]
    return found


def cmdline(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def test_a_service_that_is_killed_leaves_no_process_and_no_count_behind(tmp_path):
    port, metrics_port = free_port(), free_port()
    changed = {"CDS_METRICS_PORT": str(metrics_port), "CDS_STORE_URL": "none", "TMPDIR": str(tmp_path)}
    with running("serve", "--demo", "--port", str(port), **changed) as process:
        until(answers(port), process)
        family = descendants(process.pid)
        with_pid(process.pid, signal.SIGKILL)
        process.wait(SOON)
        latest = time.monotonic() + 30
        while any(with_pid(pid, 0) for pid in family):
            assert time.monotonic() < latest
            time.sleep(0.1)
    assert not list(tmp_path.iterdir())


def test_a_port_for_metrics_that_is_taken_is_one_line():
    with taken_port() as port:
        one_line(
            run_apart("serve", "--demo", "--port", str(free_port()), CDS_METRICS_PORT=str(port)),
            f"cannot listen on 127.0.0.1 port {port}",
        )
    one_line(run("serve", "--demo", CDS_METRICS_PORT="70000"), "CDS_METRICS_PORT: ")
