"""The service under trial: which calls are made to it, signed if a key was given, each once.

The patient is one of the examples, invented, so that a service may be tried that nobody trusts yet. What is sent is as
a client sends it: the prefetch that the service asks for, found in the example's record. A saved request of one's own
replaces the example for its hook.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from ..examples import fixture_patients
from ..fetching import FetchFailed
from ..fhir.tokens import Call, UnknownToken, resolved
from ..http.client import Outgoing, Reply, Send
from .checklist import NotTried, Unanswered

if TYPE_CHECKING:
    from .fhir_server import FhirServer

Json = dict[str, Any]
SECONDS = 20.0  # for one call
TOKEN_SECONDS = 300
JSON_TYPE = "application/json"
USER = "Practitioner/example-gp"
SIGN = "it asks who calls: --key and --iss sign the calls"
ORDER = "MedicationRequest/conform-order"
ENCODER = msgspec.json.Encoder(decimal_format="number")
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
FOLIC = {"system": RXNORM, "code": "315966", "display": "Folic Acid 5 MG Oral Tablet"}


@dataclass(frozen=True, slots=True)
class Signer:
    """Makes the tokens of a client. It has no repr that could show the key."""

    iss: str
    key: ECKey | RSAKey = field(repr=False)
    algorithm: str
    now: Callable[[], float]

    def token(self, audience: str, **changed: Any) -> str:
        """A token for one call; `changed` claims are other than they should be."""
        now = int(self.now())
        claims = {"iss": self.iss, "aud": audience, "iat": now, "exp": now + TOKEN_SECONDS, "jti": str(uuid.uuid4())}
        header = {"alg": self.algorithm, "kid": self.key.kid, "typ": "JWT"}
        return jwt.encode(header, claims | changed, self.key, algorithms=[self.algorithm])


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply, decoded. `body` is None where it is no JSON; `seconds` is how long it took."""

    reply: Reply
    body: Any
    seconds: float

    @property
    def status(self) -> int:
        return self.reply.status

    @property
    def cards(self) -> list[Json]:
        """The cards that are objects; none where there is no list of cards."""
        found = self.body.get("cards") if isinstance(self.body, dict) else None
        return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


@dataclass(eq=False)
class Service:
    """The service under trial. Calls are made when a check asks for them; the next check gets the same answers."""

    url: str  # without /cds-services
    send: Send
    record: Json  # of the example patient
    today: date
    signer: Signer | None = None
    origin: str = ""  # of a page that should be allowed to call
    given: Mapping[str, Json] = field(default_factory=dict)  # hook -> a saved request
    fhir: FhirServer | None = None  # that the service may call
    clock: Callable[[], float] = time.monotonic
    _answers: dict[str, Answer | Unanswered] = field(default_factory=dict)
    _requests: dict[str, Json | None] = field(default_factory=dict)

    # Discovery

    def reach(self) -> None:
        """Unanswered, where nothing answers at all, or only to who signs."""
        if self.asks_who_calls(self.discovery.status):
            raise Unanswered(f"GET /cds-services is answered with {self.discovery.status}; {SIGN}")

    def asks_who_calls(self, status: int) -> bool:
        """Is it what a service answers to calls without a token, which ours are?"""
        return self.signer is None and status in (401, 403)

    @property
    def discovery(self) -> Answer:
        return self.call("GET", "cds-services")

    @property
    def entries(self) -> list[Json]:
        """The services that it lists, as far as they are objects."""
        body = self.discovery.body
        listed = body.get("services") if isinstance(body, dict) else None
        return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []

    @property
    def tried(self) -> list[Json]:
        """The listed services that can be called: with an id that can stand in an address, and a hook for which there
        is a request."""
        with_id = [each for each in self.entries if isinstance(each.get("id"), str) and is_path_segment(each["id"])]
        return [each for each in with_id if self.request_for(each) is not None]

    def some(self) -> list[Json]:
        """As `tried`; NotTried where there is none."""
        if not self.tried:
            raise NotTried("no service is listed for a hook that we have a request for")
        return self.tried

    # Calls

    def whole(self, entry: Json) -> Answer:
        """The answer to a call with all that the service asked for."""
        return self.asked(entry, self.request(entry))

    def answered(self, entry: Json, request: Json) -> Answer | None:
        """The answer of a service to a request; None where none came, for checks that look at what was said."""
        try:
            return self.asked(entry, request)
        except Unanswered:
            return None

    def as_sent(self, entry: Json) -> bytes:
        """The whole request as it goes over the wire."""
        return ENCODER.encode(self.request(entry))

    def asked(self, entry: Json, request: Json | bytes, content_type: str = JSON_TYPE) -> Answer:
        """The answer of a service to a request."""
        body = request if isinstance(request, bytes) else ENCODER.encode(request)
        return self.call("POST", f"cds-services/{entry['id']}", body, {"Content-Type": content_type})

    def call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        token: str | None = None,
        again: int = 0,
    ) -> Answer:
        """The answer to a call, made once; `again` tells equal ones apart. `token`: another than is right, "" for none.
        Unanswered where none came."""
        key = repr((method, path, body, sorted((headers or {}).items()), token, again))
        if key not in self._answers:
            self._answers[key] = self._made(Outgoing(method, path, body, self._headers(path, headers or {}, token)))
        found = self._answers[key]
        if isinstance(found, Unanswered):
            raise found.with_traceback(None)
        return found

    def _headers(self, path: str, headers: Mapping[str, str], token: str | None) -> dict[str, str]:
        if token is None and self.signer:
            token = self.signer.token(f"{self.url}/{path}")
        signed = {"Authorization": f"Bearer {token}"} if token else {}
        return {"Accept": JSON_TYPE, **signed, **headers}

    def _made(self, request: Outgoing) -> Answer | Unanswered:
        """One call; where the connection failed, once more: it may have been closed while nothing was sent over it."""
        sent = time.monotonic()
        for is_last in (False, True):
            begun = self.clock()
            try:
                reply = self.send(request, time.monotonic() + SECONDS)
            except FetchFailed as failed:
                if is_last or time.monotonic() - sent > SECONDS / 2:
                    return Unanswered(f"{request.method} /{request.target}: {failed.reason}")
            else:
                return Answer(reply, decoded(reply.body), self.clock() - begun)
        raise AssertionError("the last try ends with a result")

    def answers(self) -> Iterator[tuple[str, Answer]]:
        """Every well answered call with its place, for checks that look at all that was said."""
        yield "discovery", self.discovery
        for entry in self.tried:
            for name, request in self.requests(entry):
                answer = self.answered(entry, request)
                if answer is not None and answer.status == 200:
                    yield f"{entry['id']}, {name}", answer

    # Requests

    def requests(self, entry: Json) -> Iterator[tuple[str, Json]]:
        """The calls about which cards are looked at: with everything, and with nothing found."""
        whole = self.request(entry)
        yield "a whole request", whole
        yield "nothing found", whole | {"prefetch": self.nothing_found(entry)}

    def request(self, entry: Json) -> Json:
        """The request for a service that can be called."""
        found = self.request_for(entry)
        assert found is not None, "ask `tried` first"
        return found

    def request_for(self, entry: Json) -> Json | None:
        """A request for a service, or None where its hook is one that we know nothing of. Made once."""
        listed = repr(entry)
        if listed not in self._requests:
            self._requests[listed] = self._request_for(entry)
        return self._requests[listed]

    def _request_for(self, entry: Json) -> Json | None:
        hook = str(entry.get("hook"))
        if hook in self.given:
            return {**self.given[hook], "hookInstance": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.url}#{hook}"))}
        if hook not in CONTEXTS:
            return None
        context = CONTEXTS[hook](fixture_patients.patient_id(self.record))
        instance = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.url}#{hook}"))
        return {"hook": hook, "hookInstance": instance, "context": context, "prefetch": self.found(entry, context)}

    def found(self, entry: Json, context: Json) -> dict[str, Json | None]:
        """What a FHIR server answers to the prefetch templates of a service, in their order; None where there is no
        such resource. A template with a token that cannot be resolved is not answered."""
        given = entry.get("prefetch")
        answers: dict[str, Json | None] = {}
        for key, text in given.items() if isinstance(given, dict) else ():
            try:
                answers[key] = fixture_patients.found(self.record, resolved(text, Call(context, self.today, answers)))
            except IndexError:
                answers[key] = None
            except (UnknownToken, TypeError):  # a template that is no text is reported as such
                continue
        return answers

    def nothing_found(self, entry: Json) -> Json:
        """The prefetch of a patient of whom nothing else is known: reads as they are, searches without entries."""
        whole = self.request(entry).get("prefetch") or {}
        empty = {"resourceType": "Bundle", "type": "searchset", "total": 0}
        return {key: empty if is_bundle(value) else value for key, value in whole.items()}


def is_path_segment(name: str) -> bool:
    """Can it stand in an address as it is? `.` and `..` lead elsewhere."""
    return name not in ("", ".", "..") and quote(name, safe="", errors="replace") == name


def is_bundle(value: Any) -> bool:
    return isinstance(value, dict) and value.get("resourceType") == "Bundle"


def decoded(body: bytes) -> Any:
    """JSON in UTF-8; None for what is none."""

    def refuse(constant: str) -> Any:
        raise ValueError(constant)

    try:
        return json.loads(body.decode("utf-8-sig"), parse_constant=refuse)
    except (ValueError, RecursionError):
        return None


# The contexts of the published hooks


def about(patient: str) -> Json:
    return {"userId": USER, "patientId": patient}


def in_encounter(patient: str) -> Json:
    return {**about(patient), "encounterId": "conform-encounter"}


def draft(patient: str, **more: Any) -> Json:
    """An order that is not yet signed: folic acid, unless something else is said."""
    kind, _, name = ORDER.partition("/")
    medicine = {"medicationCodeableConcept": {"coding": [FOLIC], "text": FOLIC["display"]}}
    fixed = {"resourceType": kind, "id": name, "status": "draft", "intent": "order"}
    return {**fixed, "subject": {"reference": f"Patient/{patient}"}, **(more or medicine)}


def orders(*resources: Json) -> Json:
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": each} for each in resources]}


def signing(patient: str) -> Json:
    return {**about(patient), "draftOrders": orders(draft(patient))}


def selecting(patient: str) -> Json:
    return {**about(patient), "selections": [ORDER], "draftOrders": orders(draft(patient))}


def booking(patient: str) -> Json:
    people = [{"actor": {"reference": f"Patient/{patient}"}, "status": "tentative"}]
    planned = {"resourceType": "Appointment", "id": "conform-visit", "status": "proposed", "participant": people}
    return {**about(patient), "appointments": orders(planned)}


CONTEXTS: Mapping[str, Callable[[str], Json]] = {
    "patient-view": about,
    "order-select": selecting,
    "order-sign": signing,
    "encounter-start": in_encounter,
    "encounter-discharge": in_encounter,
    "appointment-book": booking,
}
