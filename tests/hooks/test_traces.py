"""Traces: a client's own is joined and passed on, the parts of a call are spans, nothing of a patient is in them."""

from __future__ import annotations

import json
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, suppress
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from werkzeug.test import Client

from cds_service import app as application
from cds_service.app import create_app
from cds_service.settings import Settings, SettingsError, load_settings
from cds_service.web.health import BEGIN, END
from tests.endings import all_ended
from tests.fhir.loopback import fhir, serving
from tests.hooks.calling import ENVIRON, HOOK_INSTANCE, PATH, body
from tests.hooks.living import TODAY, prefetch
from tests.hooks.processes import answers, call, descendants, free_port, running, until, with_pid
from tests.hooks.tokens import Heard

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
SAID = {"b12_cds.service", "b12_cds.client", "b12_cds.hookInstance", "http.response.status_code"}
PATIENT = {"resourceType": "Patient", "id": "pt-1", "gender": "female", "birthDate": "1961-04-12"}
NAMES = {"family": "Farnsworth-Ubuntu", "given": ["Zephyrine"]}


class Collector(ThreadingHTTPServer):
    """Takes traces as OTLP over HTTP."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Taking)
        self.taken: list[ExportTraceServiceRequest] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1/traces"

    @property
    def processes(self) -> set[int]:
        """Those that sent something."""
        return {
            told.value.int_value
            for each in self.taken
            for resource in each.resource_spans
            for told in resource.resource.attributes
            if told.key == "process.pid"
        }

    @property
    def spans(self) -> list[Any]:
        return [
            span
            for each in self.taken
            for resource in each.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


class Taking(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        assert self.path == "/v1/traces"
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.taken.append(ExportTraceServiceRequest.FromString(sent))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def collecting() -> Iterator[Collector]:
    with Collector() as collector:
        thread = threading.Thread(target=collector.serve_forever, kwargs={"poll_interval": 0.01}, name="collector")
        thread.start()
        try:
            yield collector
        finally:
            collector.shutdown()
            all_ended([thread])


def calls(url: str, *sent: dict[str, Any], headers: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """Make these calls of a service that sends its traces there; what its log says."""
    with redirect_stderr(Heard()) as heard:
        app = create_app(Settings(demo=True, traces_url=url), clock=lambda: TODAY)
        app.extensions[BEGIN]()
        client = Client(app)
        for each in sent:
            client.post(PATH, json=each, headers=headers or {}, environ_overrides=ENVIRON)
        app.extensions[END]()
    return [json.loads(line) for line in heard.text.splitlines()]


def of_calls(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in lines if line["event"] in ("call", "refused", "bug")]


def attributes(span: Any) -> dict[str, Any]:
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


def leaves(value: Any) -> Iterator[str]:
    """Every text and number of a JSON value."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from leaves(each) if name != "resourceType" else ()
    elif isinstance(value, list):
        for each in value:
            yield from leaves(each)
    elif value is not None:
        yield str(value)


def test_a_call_is_a_span_of_the_clients_trace_with_its_parts_below_it():
    with collecting() as collector:
        (line,) = of_calls(calls(collector.url, body(prefetch=prefetch()), headers={"traceparent": TRACEPARENT}))
    (root,) = [span for span in collector.spans if span.name == "b12-patient-view"]
    assert (root.trace_id.hex(), root.parent_span_id.hex()) == (TRACE, PARENT)
    below = {span.name: span.parent_span_id for span in collector.spans if span is not root}
    assert set(below) == {"gather", "read", "decide", "history", "build"}
    assert set(below.values()) == {root.span_id}
    assert {span.trace_id.hex() for span in collector.spans} == {TRACE}
    told = attributes(root)
    assert told["b12_cds.hookInstance"] == line["hookInstance"] == HOOK_INSTANCE
    assert line["traceId"] == TRACE, "one leads to the other"
    assert told["http.response.status_code"] == 200


def test_what_is_asked_of_a_fhir_server_is_a_span_and_the_server_hears_of_it():
    answers = {"/fhir/Patient/pt-1": fhir(PATIENT)}
    with collecting() as collector, serving(answers) as server:
        calls(collector.url, body(prefetch=..., fhirServer=server.base), headers={"traceparent": TRACEPARENT})
    fetches = {span.span_id.hex(): span for span in collector.spans if span.name == "fetch"}
    heard = [request.headers["traceparent"].split("-") for request in server.requests]
    assert heard
    assert {trace for _, trace, _, _ in heard} == {TRACE}
    assert {parent for _, _, parent, _ in heard} <= set(fetches)
    (root,) = [span for span in collector.spans if span.name == "b12-patient-view"]
    assert {span.parent_span_id for span in fetches.values()} == {root.span_id}


def test_nothing_of_the_patient_is_in_a_span_whatever_becomes_of_the_call(monkeypatch: pytest.MonkeyPatch):
    given = prefetch()
    given["patient"] = {**PATIENT, "name": [NAMES], "identifier": [{"value": "9434765919"}]}
    good = body(prefetch=given, context={"userId": "Practitioner/dr-1", "patientId": "pt-1"})
    answers = {"/fhir/Patient/pt-1": fhir({**PATIENT, "name": [NAMES]})}
    with collecting() as collector, serving(answers) as server:
        fetched = body(prefetch=..., fhirServer=server.base)
        bad = body(prefetch=7, context={"userId": "Farnsworth-Ubuntu"})
        odd = body(prefetch=given, hookInstance="Farnsworth-Ubuntu, born 1961-04-12")
        lines = of_calls(calls(collector.url, good, fetched, bad, odd))

        def broken(*_: Any) -> Any:
            raise ValueError("Farnsworth-Ubuntu 9434765919")

        monkeypatch.setattr(application, "build_site", with_evaluation(application.build_site, broken))
        lines += of_calls(calls(collector.url, good))
    roots = [span for span in collector.spans if span.name == "b12-patient-view"]
    statuses = [attributes(span)["http.response.status_code"] for span in roots]
    assert statuses == [line["status"] if line["event"] != "bug" else 500 for line in lines]
    assert sorted(set(statuses)) == [200, 400, 412, 500]
    for span in collector.spans:
        assert set(attributes(span)) <= (SAID if span in roots else set())
        assert not span.events
        assert not span.status.message
    text = "\n".join(str(each) for each in collector.taken)
    spoken = {leaf for leaf in leaves([good["prefetch"], good["context"], bad, odd]) if len(leaf) > 2}
    assert "Farnsworth-Ubuntu" in spoken
    allowed = {HOOK_INSTANCE, "patient-view"}
    assert [leaf for leaf in sorted(spoken - allowed) if re.search(rf"(?<!\w){re.escape(leaf)}(?!\w)", text)] == []
    assert server.base not in text


def with_evaluation(build: Any, evaluation: Any) -> Any:
    from dataclasses import replace

    return lambda *given: replace(build(*given), evaluate=evaluation)


@pytest.mark.parametrize(
    "header, passed",
    [
        (TRACEPARENT, TRACEPARENT),
        ("", None),
        (f"00-{'0' * 32}-{PARENT}-01", None),
        (f"00-{TRACE}-{PARENT}-01-Farnsworth", None),
        ("Zephyrine Farnsworth", None),
    ],
)
def test_without_a_collector_a_trace_is_logged_and_passed_on_as_it_came(header: str, passed: str | None):
    with serving({"/fhir/Patient/pt-1": fhir(PATIENT)}) as server:
        (line,) = of_calls(
            calls("", body(prefetch=..., fhirServer=server.base), headers={"traceparent": header} if header else {})
        )
    assert {request.headers.get("traceparent") for request in server.requests} == {passed}
    assert line.get("traceId") == (TRACE if passed else None)


def test_one_call_does_not_join_the_trace_of_the_one_before_it():
    with redirect_stderr(Heard()) as heard:
        client = Client(create_app(Settings(demo=True, store_url="none"), clock=lambda: TODAY))
        for headers in ({"traceparent": TRACEPARENT}, {}):
            client.post(PATH, json=body(prefetch=prefetch()), headers=headers, environ_overrides=ENVIRON)
    first, second = of_calls([json.loads(line) for line in heard.text.splitlines()])
    assert (first["traceId"], second.get("traceId")) == (TRACE, None)


def test_a_collector_that_is_away_costs_no_call_anything_and_is_named_in_the_log():
    with collecting() as collector:
        gone = collector.url
    lines = calls(gone, body(prefetch=prefetch()))
    (line,) = of_calls(lines)
    assert line["status"] == 200
    assert [set(each) for each in lines if each["event"] == "traces not sent"][:1] == [
        {"at", "level", "event", "where"}
    ]


def test_where_the_extra_is_missing_the_service_does_not_start_and_says_what_to_install(monkeypatch):
    monkeypatch.setenv("CDS_TRACES_URL", "http://127.0.0.1:4318/v1/traces")
    assert load_settings().traces_url
    monkeypatch.setattr("cds_service.settings.can_record", lambda: False)
    with pytest.raises(SettingsError, match=r"CDS_TRACES_URL: .*pip install 'b12-cds\[traces\]'"):
        load_settings()
    monkeypatch.setenv("CDS_TRACES_URL", "collector:4318")
    with pytest.raises(SettingsError, match="CDS_TRACES_URL: allowed: the address of a collector"):
        load_settings()


def test_every_worker_sends_its_own_spans_and_so_does_one_that_took_the_place_of_another():
    """A thread does not survive a fork: spans must be sent by one that each worker starts."""
    port, sent = free_port(), json.dumps(body(prefetch=prefetch())).encode()
    with collecting() as collector:
        settings = {"CDS_WORKERS": "2", "CDS_TRACES_URL": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "50"}
        with running("serve", "--demo", "--port", str(port), **settings) as process:
            until(answers(port), process)

            def heard_of_two_workers() -> bool:
                with suppress(OSError, HTTPException):  # it died with the worker: a client calls again
                    call(port, "POST", PATH, sent)
                return len(collector.processes & {*descendants(process.pid)}) == 2

            until(heard_of_two_workers, process)
            first = collector.processes
            with_pid(min(first), signal.SIGKILL)
            until(lambda: heard_of_two_workers() and bool(collector.processes - first), process)
    names = {span.name for span in collector.spans}
    assert names == {"b12-patient-view", "gather", "read", "decide", "history", "build"}
