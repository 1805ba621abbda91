"""How the tests of this folder call the service: in this process, with a small answer in place of the pipeline's.

What the pipeline decides is tested elsewhere; here it is what goes over the wire.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import msgspec
import structlog
from flask import Flask
from werkzeug.test import Client, TestResponse

from cds_service.bounds import MemoryLimit
from cds_service.cdshooks.cards import OVERRIDE_SYSTEM, CardIds, CardOptions, Cards, SuggestedOrder, Title, build_cards
from cds_service.cdshooks.client_config import ClientConfig
from cds_service.cdshooks.registry import discovery
from cds_service.cdshooks.requests import HookRequest, read_request
from cds_service.clinical.advice import Advice, Draft, Paragraph
from cds_service.clinical.tables import Provenance, Source
from cds_service.evaluate import CallTime
from cds_service.http.client import HttpClient, Policy
from cds_service.web.calls import Site, add_routes
from cds_service.web.messages import add_error_handlers

PATH = "/cds-services/b12-patient-view"
HOOK_INSTANCE = "7f0d2a0e-3a1b-4f0c-9a55-5d6b8f1f6a10"
CONTEXT = {"userId": "Practitioner/1", "patientId": "pt-1"}
TEMPLATES = {"patient": "Patient/{{context.patientId}}", "b12": "Observation?patient={{context.patientId}}&code=2132-9"}
GUIDELINE = Source("guide", "Guideline", "https://guide.example.org/b12", "2024")
LARGEST_BODY = 5_000_000
CLOSING = "Nobody has approved this yet."
SECRET = "sEcReT-of-the-patient"
ENVIRON = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "127.0.0.1:8000", "SERVER_PORT": "8000"}


def body(**changed: Any) -> dict[str, Any]:
    """A hook request as a client sends it; a field given as ... is left out."""
    request = {
        "hook": "patient-view",
        "hookInstance": HOOK_INSTANCE,
        "context": CONTEXT,
        "prefetch": {"patient": {"resourceType": "Patient", "id": "pt-1"}, "b12": None},
    }
    return {name: value for name, value in {**request, **changed}.items() if value is not ...}


def request(**changed: Any) -> HookRequest:
    """The same, read."""
    return read_request(msgspec.json.encode(body(**changed)), "patient-view")


def options(**changed: Any) -> CardOptions:
    reasons = ({"code": "patient-refuses", "system": OVERRIDE_SYSTEM, "display": "The patient declines"},)
    return CardOptions(**{"guideline": GUIDELINE, "override_reasons": reasons, "closing": CLOSING, **changed})


def advice(row: str, indicator: str = "info", *drafts: Draft, **changed: Any) -> Advice:
    """What a row says; its texts name the row."""
    name = row.replace("/", " ")
    detail = changed.pop("detail", f"Detail of {name}.")
    told = {"summary": f"Summary of {name}", "topic": name.title().replace(" ", "")}
    told["paragraphs"] = tuple(Paragraph("next", text) for text in detail.split("\n\n"))
    return Advice(
        row=row, indicator=indicator, provenance=Provenance("guide", "design", date(2026, 1, 1)), drafts=drafts,
        **{**told, **changed},
    )  # fmt: skip


def a_test(name: str) -> Draft:
    return Draft("test", name)


def a_medicine(name: str) -> Draft:
    return Draft("medicine", name)


def resource(draft: Draft, patient: str = "pt-1") -> dict[str, Any]:
    kind = "ServiceRequest" if draft.kind == "test" else "MedicationRequest"
    return {
        "resourceType": kind,
        "status": "draft",
        "intent": "proposal",
        "subject": {"reference": f"Patient/{patient}"},
    }


def cards(*given: Advice, hook_request: HookRequest | None = None, **changed: Any) -> list[dict[str, Any]]:
    """The cards of some advice."""
    return built(*given, hook_request=hook_request, **changed).cards


def built(*given: Advice, hook_request: HookRequest | None = None, **changed: Any) -> Cards:
    """The same, with what each card shows and offers."""
    orders = {draft: order(draft) for each in given for draft in each.drafts}
    client, service = changed.pop("client", "demo"), changed.pop("service", "b12-patient-view")
    ids = CardIds(client, service, (hook_request or request()).hook_instance)
    return build_cards(given, orders, ids, options(**changed))


def order(draft: Draft) -> SuggestedOrder:
    """What the suggestion of a draft would order."""
    return SuggestedOrder(resource(draft), Title(f"Label of {draft.id}", f"Description of {draft.id}"))


def config(demo: bool = True) -> ClientConfig:
    """What a client gets, as far as the routes look at it: they decide nothing."""
    outgoing = HttpClient(Policy(demo=demo))
    return ClientConfig(
        name="demo", content=SimpleNamespace(), pathway=SimpleNamespace(), drafts=SimpleNamespace(),
        templates=TEMPLATES, zone=UTC, cards=options(), default_seconds=8.0,
        access=lambda base, token, lifetime, _: outgoing.fetch_for(base, token, lifetime),
    )  # fmt: skip


@dataclass
class Answers:
    """Stands for the pipeline: notes how it was called and answers with some cards, a 412 or a bug."""

    cards: list[dict[str, Any]] = field(default_factory=list)
    missing: tuple[str, ...] = ()
    wrong_patient: bool = False
    reasons: dict[str, str] = field(default_factory=dict)
    bug: Exception | None = None
    calls: list[dict[str, Any]] = field(default_factory=list)

    def __call__(
        self, hook_request: HookRequest, client: ClientConfig, clock: CallTime, fetch: Any, history: Any
    ) -> Any:
        self.calls.append({"request": hook_request, "client": client, "clock": clock, "fetch": fetch})
        if self.bug:
            raise self.bug
        return SimpleNamespace(
            status=412 if self.missing or self.wrong_patient else 200,
            cards=self.cards,
            missing=self.missing,
            warnings=(),
            record=SimpleNamespace(unavailable=frozenset(self.missing), incomplete=frozenset(), ignored=()),
            gathered=SimpleNamespace(
                wrong_patient=self.wrong_patient,
                of_others_only=(),
                states={
                    key: SimpleNamespace(
                        state="failed" if key in self.reasons else "absent",
                        reason=self.reasons.get(key, "not sent"),
                    )
                    for key in self.missing
                },
            ),
        )


@dataclass
class Caller:
    """The service with its log, called as a client on this machine would."""

    answers: Answers = field(default_factory=Answers)
    demo: bool = True
    origins: frozenset[str] = frozenset()
    store: Any = None
    memory: MemoryLimit = field(default_factory=lambda: MemoryLimit(LARGEST_BODY))
    log: io.StringIO = field(default_factory=io.StringIO)

    def __post_init__(self) -> None:
        log = structlog.wrap_logger(structlog.PrintLogger(self.log), processors=[structlog.processors.JSONRenderer()])
        site = Site(
            client=config(demo=self.demo),
            discovery=msgspec.json.encode(discovery("UK", TEMPLATES, ("patient", "b12"))),
            welcome="B12 CDS: this is a test.\n",
            evaluate=self.answers,
            clock=lambda: datetime(2026, 1, 15, 12, tzinfo=UTC),
            log=log,
            demo=self.demo,
            origins=self.origins,
            store=self.store,
            memory=self.memory,
        )
        self.app = Flask("cds_service", static_folder=None)
        self.app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY + 1
        add_error_handlers(self.app, log)
        add_routes(self.app, site)

    def open(self, method: str, path: str, **given: Any) -> TestResponse:
        environ = {**ENVIRON, **given.pop("environ", {})}
        return Client(self.app).open(path, method=method, environ_overrides=environ, **given)

    def get(self, path: str, **given: Any) -> TestResponse:
        return self.open("GET", path, **given)

    def post(
        self, data: Any, path: str = PATH, content_type: str | None = "application/json", **given: Any
    ) -> TestResponse:
        """A call of the service: a dict goes as JSON, bytes as they are."""
        sent = data if isinstance(data, bytes) else json.dumps(data).encode()
        return self.open("POST", path, data=sent, content_type=content_type, **given)


def outcome(response: TestResponse) -> list[dict[str, Any]]:
    """The issues of the OperationOutcome that an error must be, in whatever it came."""
    assert response.content_type == "application/json"
    told = response.json
    assert told["resourceType"] == "OperationOutcome"
    assert told["issue"]
    assert all(issue["severity"] == "error" and issue["code"] and issue["details"]["text"] for issue in told["issue"])
    return told["issue"]


def one_issue(response: TestResponse, status: int) -> dict[str, Any]:
    """The only issue of an error with that status."""
    assert response.status_code == status, response.text
    assert response.headers["Cache-Control"] == "no-store"
    (issue,) = outcome(response)
    return issue
