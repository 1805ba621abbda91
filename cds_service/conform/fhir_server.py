"""A FHIR server with the example patient that a service under trial may call, and checks of how it uses its access.

Every trial passes a token that was made for it, and the token says how the server answers: wholly, with a refusal, not
at all. A call without a token of ours is refused, and recorded like every other: what a service does with its access
is seen here, where its logs and stores are not.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from ..examples import fixture_patients
from .calls import Answer, Json, Service
from .checklist import Check, NotTried, Unanswered, published

ROOT, OTHER_ROOT, ELSEWHERE = "/fhir", "/fhir-of-somebody", "/elsewhere"
WHOLE, DENIED, BROKEN, SILENT, REDIRECTS, PAGES_ELSEWHERE = "whole", "403", "500", "silent", "redirects", "pages"
FHIR_JSON = "application/fhir+json"
HANGS = 60.0  # seconds after which a silent server gives up by itself
LARGEST_FORM = 100_000  # bytes of a search by POST
LIFETIME = 300
USUAL_SCOPE = "patient/Patient.read patient/Observation.read patient/Condition.read patient/MedicationRequest.read"
EPIC_SCOPE = "Observation.Read (Labs) (R4) user/Condition.Read Patient.Read (R4)"
NO_SERVER = "no FHIR server: --fhir-listen HOST:PORT starts one that the service under trial may call"
NOT_CALLED = "the FHIR server was not called; is its base among those that the service may call?"
NO_SEARCH = "the FHIR server was read and not searched, so that there were no pages to follow"
NOBODYS_PATIENT = "conform-other-patient"
SEEN = "seen at the FHIR server: no other call uses the token, and no address holds it"


@dataclass(frozen=True, slots=True)
class Call:
    """A call that the FHIR server got: its path with the query, and the token that it brought ("" for none)."""

    path: str
    token: str


class FhirServer(ThreadingHTTPServer):
    """Answers searches about one record, to who brings a token of ours."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], record: Json) -> None:
        super().__init__(address, Handler)
        self.record = record
        self.calls: list[Call] = []
        self.modes: dict[str, str] = {}  # token -> how it is answered
        self.over = threading.Event()  # ends what is silent

    @property
    def origin(self) -> str:
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"

    @property
    def base(self) -> str:
        """Its address as a FHIR base."""
        return self.origin + ROOT

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A service that hangs up on us is no fault of ours."""

    def grant(self, mode: str) -> str:
        """A new token, with which it is answered in that way."""
        token = f"conform-{secrets.token_urlsafe(16)}"
        self.modes[token] = mode
        return token


class Handler(BaseHTTPRequestHandler):
    """One call of the FHIR server."""

    server: FhirServer

    def log_message(self, *_: Any) -> None:
        """Nothing: every line would hold a patient's id, if an invented one's."""

    def do_GET(self) -> None:
        self.answer(urlsplit(self.path).query)

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "0")
        form = self.rfile.read(min(int(length) if length.isdigit() else 0, LARGEST_FORM))
        self.answer(form.decode("utf-8", "replace"))

    def answer(self, query: str) -> None:
        """As the token says."""
        token = self.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        self.server.calls.append(Call(self.path, token))
        mode = self.server.modes.get(token, "")
        path = urlsplit(self.path).path
        if not mode:
            return self.reply(401, outcome("login"))
        if mode == SILENT:
            self.server.over.wait(HANGS)
            self.close_connection = True
            return None
        if mode in (DENIED, BROKEN):
            return self.reply(int(mode), outcome("forbidden" if mode == DENIED else "exception"))
        if mode == REDIRECTS:
            return self.reply(302, outcome("processing"), Location=f"{self.server.origin}{ELSEWHERE}?{query}")
        kind = path.removeprefix(ROOT).strip("/").removesuffix("/_search")
        return self.reply(*found(self.server, kind, query, mode))

    def reply(self, status: int, body: Json, **headers: str) -> None:
        text = fixture_patients.ENCODER.encode(body)
        with suppress(OSError):
            self.send_response(status)
            for name, value in {"Content-Type": FHIR_JSON, "Content-Length": str(len(text)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)


def found(server: FhirServer, path: str, query: str, mode: str) -> tuple[int, Json]:
    """The status and the body for a read or a search."""
    parameters = parse_qsl(query)
    if path == "metadata":
        return 200, {"resourceType": "CapabilityStatement", "status": "active", "kind": "instance",
                     "fhirVersion": "4.0.1", "format": ["json"], "rest": [{"mode": "server"}]}  # fmt: skip
    if "/" in path:
        try:
            return 200, fixture_patients.found(server.record, path)
        except IndexError:
            return 404, outcome("not-found")
    patient = {value.removeprefix("Patient/") for name, value in parameters if name in ("patient", "subject")}
    if patient - {fixture_patients.patient_id(server.record)}:
        return 200, {"resourceType": "Bundle", "type": "searchset", "total": 0}
    asked = "&".join(f"{name}={value}" for name, value in parameters)
    bundle = fixture_patients.found(server.record, f"{path}?{asked}")
    links = [{"relation": "self", "url": f"{server.base}/{path}?{query}"}]
    if mode == PAGES_ELSEWHERE:
        links.append({"relation": "next", "url": f"{server.origin}{ELSEWHERE}?page=2"})
    return 200, {**bundle, "link": links}


def outcome(code: str) -> Json:
    """What a FHIR server says of an error."""
    return {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": code}]}


@contextmanager
def listening(address: tuple[str, int], record: Json) -> Iterator[FhirServer]:
    """The server, answering while the block runs. OSError where it cannot listen there."""
    with FhirServer(address, record) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            thread.join()


# What a service does with its access


@dataclass(frozen=True, slots=True)
class Trial:
    """A call without prefetch and with access, its answer, and what the FHIR server got meanwhile."""

    name: str
    whole: Answer
    answer: Answer
    token: str
    calls: list[Call]


def server_of(service: Service) -> FhirServer:
    if service.fhir is None:
        raise NotTried(NO_SERVER)
    return service.fhir


def about_the_example(service: Service) -> list[Json]:
    """The services that answer about the example patient: only of that one the FHIR server has data."""
    answering = [
        entry
        for entry in service.some()
        if entry["hook"] not in service.given
        and (whole := service.answered(entry, service.request(entry))) is not None
        and whole.status == 200
        and whole.cards
    ]
    if not answering:
        raise NotTried("no service gives a card about the example patient (--patient chooses another)")
    return answering


def tried(service: Service, entry: Json, mode: str, base: str = "", **access: Any) -> Trial:
    """A service called without prefetch, with access to the FHIR server."""
    server = server_of(service)
    token = server.grant(mode)
    request = {name: value for name, value in service.request(entry).items() if name != "prefetch"}
    granted = {"access_token": token, "token_type": "Bearer", "expires_in": LIFETIME, "scope": USUAL_SCOPE,
               "subject": "conform", "patient": request["context"]["patientId"], **access}  # fmt: skip
    before = len(server.calls)
    answer = service.asked(entry, {**request, "fhirServer": base or server.base, "fhirAuthorization": granted})
    return Trial(entry["id"], service.whole(entry), answer, token, server.calls[before:])


def missing_is_fetched(service: Service) -> Iterator[str]:
    """With access and without prefetch the answer is the one with prefetch."""
    server_of(service)
    yield from same_with_access(service)


def same_with_access(service: Service, **access: Any) -> Iterator[str]:
    for entry in about_the_example(service):
        trial = tried(service, entry, WHOLE, **access)
        if not trial.calls:
            yield f"{trial.name}: without prefetch, with access: {NOT_CALLED}"
        elif trial.answer.status != 200:
            yield f"{trial.name}: without prefetch, with access: answered with {trial.answer.status}"
        elif len(trial.answer.cards) != len(trial.whole.cards):
            count = f"{len(trial.answer.cards)} cards instead of {len(trial.whole.cards)}"
            yield f"{trial.name}: without prefetch, with access: {count}"


def scopes_decide_nothing(service: Service) -> Iterator[str]:
    server_of(service)
    yield from same_with_access(service, scope=EPIC_SCOPE)


def failures_are_said(service: Service) -> Iterator[str]:
    """A FHIR server that refuses, breaks or stays silent is no patient without findings."""
    server_of(service)
    entry = about_the_example(service)[0]
    for mode, what in ((DENIED, "a FHIR server that answers 403"), (BROKEN, "one that answers 500"),
                       (SILENT, "one that does not answer")):  # fmt: skip
        try:
            trial = tried(service, entry, mode)
        except Unanswered as failed:
            yield f"{entry['id']}: {what}: {failed}"
            continue
        if trial.answer.status not in (200, 412):
            yield f"{trial.name}: {what}: answered with {trial.answer.status}, not with 412"
        elif trial.answer.status == 200 and not trial.answer.cards:
            yield f"{trial.name}: {what}: no card, as if nothing had been found"


def reading(service: Service, mode: str, **access: Any) -> Trial:
    """A trial in which the FHIR server was called; NotTried where it was not."""
    server_of(service)
    trial = tried(service, about_the_example(service)[0], mode, **access)
    if not trial.calls:
        raise NotTried(NOT_CALLED)
    return trial


def pages_stay_under_the_base(service: Service) -> Iterator[str]:
    trial = reading(service, PAGES_ELSEWHERE)
    if not any("?" in call.path or call.path.endswith("/_search") for call in trial.calls):
        raise NotTried(NO_SEARCH)
    if any(call.path.startswith(ELSEWHERE) for call in trial.calls):
        yield f"{trial.name}: a further page was read at an address that is not under the FHIR base"


def others_token_is_not_used(service: Service) -> Iterator[str]:
    """First that it reads at all: else nothing would follow from its not reading."""
    trial = reading(service, WHOLE)
    other = tried(service, about_the_example(service)[0], WHOLE, patient=NOBODYS_PATIENT)
    if any(call.token == other.token for call in other.calls):
        yield f"{trial.name}: a token whose patient is another than the context's was used"


def token_goes_with_every_call(service: Service) -> Iterator[str]:
    trial = reading(service, WHOLE)
    bare = sum(call.token != trial.token for call in trial.calls)
    if bare:
        yield f"{trial.name}: {bare} of {len(trial.calls)} calls of the FHIR server without the token of the request"


def token_is_used_for_its_call_alone(service: Service) -> Iterator[str]:
    first = reading(service, WHOLE)
    second = reading(service, WHOLE)
    server = server_of(service)
    entry = about_the_example(service)[0]
    before = len(server.calls)
    bare = {name: value for name, value in service.request(entry).items() if name != "prefetch"}
    last = service.asked(entry, {**bare, "fhirServer": server.base})
    tokens = {first.token, second.token}
    for answer in (first.answer, second.answer, last):
        text = answer.reply.body.decode("utf-8", "replace") + json.dumps(dict(answer.reply.headers))
        if any(token in text for token in tokens):
            yield f"{first.name}: the access token stands in the answer"
    late = (second.token, *(token for token, mode in server.modes.items() if mode == SILENT))  # those may still run
    if any(call.token in server.modes and call.token not in late for call in second.calls):
        yield f"{first.name}: the token of one request was used for another"
    if any(call.token in tokens for call in server.calls[before:]):
        yield f"{first.name}: a token was used for a request that brought none"
    if any(token in call.path for call in server.calls for token in tokens):
        yield f"{first.name}: the access token stands in an address"


def nobody_chooses_an_address(service: Service) -> Iterator[str]:
    """Only the base that was allowed is read, and no redirect leads from there to another."""
    trial = reading(service, REDIRECTS)
    if any(call.path.startswith(ELSEWHERE) for call in trial.calls):
        yield f"{trial.name}: a redirect of the FHIR server was followed"
    server = server_of(service)
    other = tried(service, about_the_example(service)[0], WHOLE, base=server.origin + OTHER_ROOT)
    if other.calls:
        yield f"{trial.name}: {OTHER_ROOT} was called, which it should not know (our demo opens all of this machine)"


CHECKS: tuple[Check, ...] = (
    Check("54", (), missing_is_fetched),
    Check("55", published(54), failures_are_said),
    Check("58", (), pages_stay_under_the_base, of_answers=True),
    Check("62", published(34, 60), missing_is_fetched),
    Check("64", (), others_token_is_not_used, of_answers=True),
    Check("65", published(61), token_goes_with_every_call, of_answers=True),
    Check("66", (), token_is_used_for_its_call_alone, SEEN, of_answers=True),
    Check("67", (), scopes_decide_nothing),
    Check("69", (), nobody_chooses_an_address, of_answers=True),
)
