"""Checks of who may call, of pages of other origins, and of feedback."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .calls import JSON_TYPE, Answer, Json, Service
from .checklist import Check, NotTried, published

NOBODY = "00000000-0000-4000-8000-000000000000"  # the id of no card
NOBODY_CALLS = "https://nobody.invalid"  # an issuer that there is not (RFC 2606)
WHEN = "2026-01-15T12:00:00Z"
WITHOUT_KEY = "no key was given (--key, --iss): the service is called without a token"


# Feedback


def feedback(service: Service, *items: Json, body: bytes | None = None) -> Iterator[tuple[str, Answer]]:
    """The answers to feedback of each service that takes any, which none need; NotTried where none does."""
    sent = json.dumps({"feedback": list(items)}).encode() if body is None else body
    answers = [
        (entry["id"], service.call("POST", f"cds-services/{entry['id']}/feedback", sent, {"Content-Type": JSON_TYPE}))
        for entry in service.some()
    ]
    asking = any(service.asks_who_calls(answer.status) for _, answer in answers)
    taking = [
        (name, answer)
        for name, answer in answers
        if answer.status not in (404, 405, 501) and not service.asks_who_calls(answer.status)
    ]
    if not taking:
        raise NotTried(WITHOUT_KEY if asking else "the service takes no feedback")
    yield from taking


def item(outcome: str, **more: Any) -> Json:
    return {"card": NOBODY, "outcome": outcome, "outcomeTimestamp": WHEN, **more}


ACCEPTED = item("accepted", acceptedSuggestions=[{"id": NOBODY}])
OVERRIDDEN = item("overridden")


def taken(answers: Iterator[tuple[str, Answer]], what: str) -> Iterator[str]:
    for name, answer in answers:
        if not 200 <= answer.status < 300:
            yield f"{name}: {what}: answered with {answer.status}"


def feedback_is_taken(service: Service) -> Iterator[str]:
    yield from taken(feedback(service, ACCEPTED), "an accepted suggestion")


def feedback_comes_in_batches(service: Service) -> Iterator[str]:
    yield from taken(feedback(service, ACCEPTED, OVERRIDDEN, ACCEPTED), "three items, one of them twice")


def override_needs_no_reason(service: Service) -> Iterator[str]:
    yield from taken(feedback(service, OVERRIDDEN), "an override without a reason")


def odd_feedback_is_refused(service: Service) -> Iterator[str]:
    for name, answer in feedback(service, body=b'{"feedback": 7}'):
        if not 400 <= answer.status < 500:
            yield f"{name}: feedback that is no list: answered with {answer.status}, not with 400"


def clients_shapes_are_read(service: Service) -> Iterator[str]:
    reason = {"reason": {"code": "patient-refuses", "system": "http://terminology.hl7.org/CodeSystem/x"}}
    yield from taken(feedback(service, item("overridden", overrideReason=reason)), "a reason without display")


# Who may call


def refuses(service: Service, token: Callable[[str], str], what: str) -> Iterator[str]:
    """A call with this token is 401, and nothing is said of why."""
    if not service.signer:
        raise NotTried(WITHOUT_KEY)
    for entry in service.some():
        path = f"cds-services/{entry['id']}"
        body, kind = service.as_sent(entry), {"Content-Type": JSON_TYPE}
        answer = service.call("POST", path, body, kind, token=token(f"{service.url}/{path}"))
        if answer.status not in (401, 403):
            yield f"{entry['id']}: {what}: answered with {answer.status}, not with 401"


def needs_a_token(service: Service) -> Iterator[str]:
    yield from refuses(service, lambda _: "", "without a token")


def claim(name: str, value: Callable[[Service], Any], what: str) -> Callable[[Service], Iterator[str]]:
    """A check that a token with a wrong claim is refused."""

    def run(service: Service) -> Iterator[str]:
        def token(audience: str) -> str:
            assert service.signer
            return service.signer.token(audience, **{name: value(service)})

        yield from refuses(service, token, what)

    return run


def elsewhere(service: Service) -> str:
    return f"{service.url}/elsewhere"


def long_ago(service: Service) -> int:
    assert service.signer
    return int(service.signer.now()) - 600


def tokens_are_good_once(service: Service) -> Iterator[str]:
    if not service.signer:
        raise NotTried(WITHOUT_KEY)
    for entry in service.some():
        path, kind = f"cds-services/{entry['id']}", {"Content-Type": JSON_TYPE}
        body, token = service.as_sent(entry), service.signer.token(f"{service.url}/{path}")
        first, second = (service.call("POST", path, body, kind, token=token, again=number) for number in (1, 2))
        if first.status == second.status:
            yield f"{entry['id']}: a token is taken twice"


def refusals_say_nothing(service: Service) -> Iterator[str]:
    """Whatever is wrong with a token, the answer is the same."""
    if not service.signer:
        raise NotTried(WITHOUT_KEY)
    for entry in service.some():
        path, kind = f"cds-services/{entry['id']}", {"Content-Type": JSON_TYPE}
        here, body = f"{service.url}/{path}", service.as_sent(entry)
        wrong = (service.signer.token(here, iss=NOBODY_CALLS), service.signer.token(here, exp=1))
        tokens = ("", "x.y.z", *wrong)
        if len({service.call("POST", path, body, kind, token=token).reply.body for token in tokens}) > 1:
            yield f"{entry['id']}: what is wrong with a token can be read in the answer"


def other_address(service: Service) -> Iterator[str]:
    """Feedback with a token for the call's address."""
    if not service.signer:
        raise NotTried(WITHOUT_KEY)
    for entry in service.some():
        path = f"cds-services/{entry['id']}"
        token, body = service.signer.token(f"{service.url}/{path}"), json.dumps({"feedback": [OVERRIDDEN]}).encode()
        status = service.call("POST", f"{path}/feedback", body, {"Content-Type": JSON_TYPE}, token=token).status
        if status not in (401, 403, 404, 405, 501):
            yield f"{entry['id']}: feedback with a token for another address: answered with {status}, not with 401"


def more_claims_are_tolerated(service: Service) -> Iterator[str]:
    if not service.signer:
        raise NotTried(WITHOUT_KEY)
    now = int(service.signer.now())
    for entry in service.some():
        path, kind = f"cds-services/{entry['id']}", {"Content-Type": JSON_TYPE}
        token = service.signer.token(f"{service.url}/{path}", sub="conform", nbf=now, **{"urn:x": {"a": 1}})
        status = service.call("POST", path, service.as_sent(entry), kind, token=token).status
        if status in (401, 403):
            yield f"{entry['id']}: a token with further claims: answered with {status}"


def unsigned_is_refused(service: Service) -> Iterator[str]:
    """`none` as algorithm, and an HMAC under the public key."""

    def token(audience: str) -> str:
        assert service.signer
        _, payload, _ = service.signer.token(audience).split(".")
        return f"{encoded({'alg': 'none', 'kid': service.signer.key.kid, 'typ': 'JWT'})}.{payload}."

    yield from refuses(service, token, "a token with alg none")


def encoded(part: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def pages_may_call(service: Service) -> Iterator[str]:
    """A preflight needs no token; the headers are on errors too."""
    if not service.origin:
        raise NotTried("no origin was given (--origin): pages of other origins are not tried")
    for entry in service.some():
        path = f"cds-services/{entry['id']}"
        asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
        preflight = service.call("OPTIONS", path, None, {"Origin": service.origin, **asks}, token="")
        failed = service.call("POST", path, b"{", {"Content-Type": JSON_TYPE, "Origin": service.origin})
        for answer, what in ((preflight, "the preflight"), (failed, f"an error ({failed.status})")):
            if answer.reply.headers.get("access-control-allow-origin") not in (service.origin, "*"):
                yield f"{entry['id']}: {what} does not allow {service.origin}"
        allowed = preflight.reply.headers.get("access-control-allow-headers", "").lower()
        if preflight.status >= 400 or ("content-type" not in allowed and allowed != "*"):
            yield f"{entry['id']}: the preflight does not allow the headers authorization and content-type"


CHECKS: tuple[Check, ...] = (
    Check("107", published(148, 152), feedback_is_taken),
    Check("111", published(154), feedback_comes_in_batches),
    Check("112", published(160), override_needs_no_reason),
    Check("114", (), odd_feedback_is_refused),
    Check("115", (), clients_shapes_are_read),
    Check("113", published(196), other_address),
    Check("117", published(177), needs_a_token),
    Check("121", published(196), claim("aud", elsewhere, "a token for another address")),
    Check("122", published(195), claim("iss", lambda _: NOBODY_CALLS, "a token of an unknown issuer")),
    Check("123", published(190), claim("exp", long_ago, "a token that has expired")),
    Check("123a", published(192), tokens_are_good_once),
    Check("124", (), refusals_say_nothing),
    Check("125", published(201, 203), unsigned_is_refused),
    Check("126", (), more_claims_are_tolerated),
    Check("130", published(208), pages_may_call),
)
