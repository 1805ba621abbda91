"""Checks of what a service does with calls, as they should be and as real clients send them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from .calls import JSON_TYPE, SIGN, Answer, Json, Service, draft, is_bundle, orders
from .checklist import Check, NotTried, Unanswered, published

SLOW = 0.5  # seconds
TIMES = 5
DEEP = 20_000  # levels
OTHER = "someone-else"
SEEN = "seen from outside: no answer repeats the token; what is stored, logged or traced is not seen"
SECRET = "conform-access-token-that-nobody-may-repeat"  # noqa: S105 (it opens nothing)


def each(service: Service, change: Callable[[Json], Any]) -> Iterator[tuple[str, Answer, Answer]]:
    """For each service that answers a whole request: its id, that answer, and the one to the request as it is changed.
    NotTried where none does."""
    wholes = [(entry, service.answered(entry, service.request(entry))) for entry in service.some()]
    answering = [entry for entry, whole in wholes if whole is not None and whole.status == 200]
    if not answering:
        raise NotTried("no service answers a whole request with 200; --request FILE sends one of yours")
    for entry in answering:
        yield entry["id"], service.whole(entry), service.asked(entry, change(service.request(entry)))


def answered_well(service: Service) -> Iterator[str]:
    statuses: set[int] = set()
    for entry in service.some():
        try:
            status = service.whole(entry).status
        except Unanswered as why:
            yield f"{entry['id']}: a whole request: {why}"
            continue
        statuses.add(status)
        if status not in (200, 412) and not service.asks_who_calls(status):
            yield f"{entry['id']}: a whole request is answered with {status}"
    if statuses and all(map(service.asks_who_calls, statuses)):
        raise NotTried(f"a whole request is answered with {min(statuses)}; {SIGN}")
    if statuses and 200 not in statuses:
        raise NotTried("the service needs other data (412); --request FILE sends a request of yours")


def same(service: Service, change: Callable[[Json], Any], what: str) -> Iterator[str]:
    """The changed request must be answered as the whole one."""
    for name, whole, other in each(service, change):
        if other.status != whole.status:
            yield f"{name}: {what}: answered with {other.status}"
        elif len(other.cards) != len(whole.cards):
            yield f"{name}: {what}: {len(other.cards)} cards instead of {len(whole.cards)}"


def no_failure(service: Service, change: Callable[[Json], Any], what: str) -> Iterator[str]:
    """Whatever is answered to it: no request breaks a service."""
    for name, _, other in each(service, change):
        if other.status >= 500 and other.status != 503:
            yield f"{name}: {what}: answered with {other.status}"


def refused(service: Service, change: Callable[[Json], Any], what: str) -> Iterator[str]:
    """It must be a 4xx."""
    for name, _, other in each(service, change):
        if not 400 <= other.status < 500:
            yield f"{name}: {what}: answered with {other.status}, not with a 4xx"


def with_prefetch(change: Callable[[str, Any], Any]) -> Callable[[Json], Json]:
    """The request with each value of its prefetch changed; what becomes `...` is left out."""

    def changed(request: Json) -> Json:
        values = {key: change(key, value) for key, value in (request.get("prefetch") or {}).items()}
        return request | {"prefetch": {key: value for key, value in values.items() if value is not ...}}

    return changed


def with_searches(answer: Any) -> Callable[[Json], Json]:
    """The request with the same answer to every search."""
    return with_prefetch(lambda _, value: answer if is_bundle(value) else value)


def unknown_elements_are_ignored(service: Service) -> Iterator[str]:
    more = {"extension": {"org.example.conform": {"a": 1}}, "unknownElement": [1, {"b": None}]}
    yield from same(service, lambda request: request | more, "with elements that nobody knows")


def later_context_is_normal(service: Service) -> Iterator[str]:
    yield from same(
        service, lambda request: request | {"context": request["context"] | {"later": {"a": 1}}}, "with more context"
    )


def charset_is_taken(service: Service) -> Iterator[str]:
    for entry in service.some():
        for kind in ("application/json; charset=utf-8", "APPLICATION/JSON;charset=UTF-8"):
            status = service.asked(entry, service.request(entry), kind).status
            if status != service.whole(entry).status:
                yield f"{entry['id']}: with Content-Type {kind}: answered with {status}"


def needs_what_must_be(service: Service) -> Iterator[str]:
    for name in ("hook", "hookInstance", "context"):
        yield from refused(service, partial(without, name), f"without {name}")
        yield from refused(service, partial(with_element, name, 7), f"with {name} 7")


def without(name: str, request: Json) -> Json:
    return {key: value for key, value in request.items() if key != name}


def with_element(name: str, value: Any, request: Json) -> Json:
    return request | {name: value}


def other_hook_is_refused(service: Service) -> Iterator[str]:
    yield from refused(service, lambda request: request | {"hook": "conform-no-such-hook"}, "with another hook")


def any_instance_is_taken(service: Service) -> Iterator[str]:
    yield from same(service, lambda request: request | {"hookInstance": "urn:x:not a UUID"}, "an instance like no UUID")


def other_patient_is_not_used(service: Service) -> Iterator[str]:
    """A Patient of another id is 412, or there is no card as for the right one."""
    change = with_prefetch(lambda _, value: {**value, "id": OTHER} if is_patient(value) else value)
    sent_one = False
    for name, whole, other in each(service, change):
        entry = next(each for each in service.tried if each["id"] == name)
        if not any(map(is_patient, (service.request(entry).get("prefetch") or {}).values())):
            continue
        sent_one = True
        if other.status == 200 and other.cards and len(other.cards) == len(whole.cards):
            yield f"{name}: with the Patient of another id: answered as if it were the right one"
    if not sent_one:
        raise NotTried("no service asks for the Patient")


def is_patient(value: Any) -> bool:
    return isinstance(value, dict) and value.get("resourceType") == "Patient"


def long_ids_are_taken(service: Service) -> Iterator[str]:
    yield from no_failure(service, long_id, "with an order whose id has 194 characters")


def long_id(request: Json) -> Json:
    context = request["context"]
    if "draftOrders" not in context:
        return request
    order = draft(context["patientId"]) | {"id": "x" * 194}
    changed: Json = {"draftOrders": orders(order)}
    if "selections" in context:
        changed["selections"] = [f"MedicationRequest/{order['id']}"]
    return request | {"context": context | changed}


def limits_hold(service: Service) -> Iterator[str]:
    deep = b'{"hook":' + b"[" * DEEP + b"]" * DEEP + b"}"
    yield from refused(service, lambda _: deep, f"{DEEP} levels deep")
    number = b'{"hook":"patient-view","hookInstance":"x","context":{"userId":"a/b","patientId":"1"},"x":1E+9999999}'
    yield from no_failure(service, lambda _: number, "with a number of ten million digits")


def required_data_is_missed(service: Service) -> Iterator[str]:
    """Without data and without FHIR access: 412, or a 200 that says so; never a 5xx or another 4xx."""
    for name, _, other in each(service, with_prefetch(lambda key, value: ...)):
        if other.status not in (200, 412):
            yield f"{name}: without prefetch and FHIR access: answered with {other.status}, not with 412"


def nothing_found_is_an_answer(service: Service) -> Iterator[str]:
    """A search that found nothing is data, sent as null or as an empty Bundle."""
    empty = {"resourceType": "Bundle", "type": "searchset", "total": 0}
    for sent, what in ((None, "null for searches"), (empty, "empty Bundles")):
        for name, _, other in each(service, with_searches(sent)):
            if other.status != 200:
                yield f"{name}: {what}: answered with {other.status}"


def nothing_to_say_is_an_empty_list(service: Service) -> Iterator[str]:
    """Of a patient of whom nothing is known there may be nothing to say; a list of cards is there all the same."""
    empty = {"resourceType": "Bundle", "type": "searchset", "total": 0}
    for name, _, other in each(service, with_searches(empty)):
        if other.status == 200 and not (isinstance(other.body, dict) and isinstance(other.body.get("cards"), list)):
            yield f"{name}: nothing found: an answer without a list of cards"


def outcomes_are_looked_for(service: Service) -> Iterator[str]:
    outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "timeout"}]}
    asks = {str(entry["id"]) for entry in service.tried if service.request(entry).get("prefetch")}
    if not asks:
        raise NotTried("no service asks for prefetch")
    for name, whole, other in each(service, with_prefetch(lambda _, __: outcome)):
        if name in asks and other.status not in (200, 412):
            yield f"{name}: OperationOutcomes instead of data: answered with {other.status}"
        elif name in asks and whole.cards and other.status == 200 and not other.cards:
            yield f"{name}: OperationOutcomes instead of data: no card, as if nothing had been found"


def epics_empty_answer_is_read(service: Service) -> Iterator[str]:
    details = {"coding": [{"code": "4101"}], "text": "no results"}
    issue = {"severity": "warning", "code": "processing", "details": details}
    entry = {"resource": {"resourceType": "OperationOutcome", "issue": [issue]}, "search": {"mode": "outcome"}}
    empty = {"resourceType": "Bundle", "type": "searchset", "total": 0, "entry": [entry]}
    for name, _, other in each(service, with_searches(empty)):
        if other.status != 200:
            yield f"{name}: an outcome in an empty Bundle: answered with {other.status}"


def any_bundle_is_read(service: Service) -> Iterator[str]:
    def bare(_: str, value: Any) -> Any:
        if not is_bundle(value):
            return value
        entries = [{"resource": each["resource"]} for each in value.get("entry", ())]
        return {"resourceType": "Bundle", "type": "collection", "entry": entries}

    yield from same(service, with_prefetch(bare), "with collections without total, fullUrl and search")


def access_without_a_server_is_survived(service: Service) -> Iterator[str]:
    yield from no_failure(service, partial(with_element, "fhirAuthorization", ACCESS), "a token without fhirServer")


def tokens_are_not_repeated(service: Service) -> Iterator[str]:
    """The token leads to a name that nobody has (RFC 2606), and comes back in nothing."""
    access = {"fhirServer": "https://fhir.invalid/r4", "fhirAuthorization": ACCESS}
    for name, _, other in each(service, lambda request: request | access):
        if SECRET.encode() in other.reply.body or any(SECRET in value for value in other.reply.headers.values()):
            yield f"{name}: the access token stands in the answer"


ACCESS = {"access_token": SECRET, "token_type": "Bearer", "expires_in": 300, "scope": "patient/*.read", "subject": "x"}


def other_orders_are_no_fault(service: Service) -> Iterator[str]:
    """An order that does not concern the service is answered with 200."""

    def crutches(request: Json) -> Json:
        context = request["context"]
        order = draft(context["patientId"], code={"text": "Crutches"}) | {"resourceType": "ServiceRequest"}
        changed: Json = {"draftOrders": orders(order)}
        if "selections" in context:
            changed["selections"] = [f"ServiceRequest/{order['id']}"]
        return request | {"context": context | changed}

    entries = [entry for entry in service.some() if "draftOrders" in service.request(entry)["context"]]
    if not entries:
        raise NotTried("no service is listed for a hook with orders")
    statuses = {entry["id"]: service.asked(entry, crutches(service.request(entry))).status for entry in entries}
    if all(map(service.asks_who_calls, statuses.values())):
        raise NotTried(SIGN)
    for name, status in statuses.items():
        if status != 200:
            yield f"{name}: an order for crutches: answered with {status}"


def faults_have_their_status(service: Service) -> Iterator[str]:
    unknown = service.call("POST", "cds-services/conform-no-such-service", b"{}", {"Content-Type": JSON_TYPE}).status
    if unknown not in (401, 404):
        yield f"a service that is not listed: answered with {unknown}, not with 404"
    for entry in service.some():
        status = service.call("GET", f"cds-services/{entry['id']}").status
        if status not in (404, 405) and not service.asks_who_calls(status):
            yield f"{entry['id']}: GET is answered with {status}, not with 405"
        for body, kind, what in (
            (b"{", JSON_TYPE, "broken JSON"),
            (b"[1]", JSON_TYPE, "JSON that is no object"),
            (b"\xff\xfe{}", JSON_TYPE, "bytes that are no text"),
            (b"hook=patient-view", "text/plain", "a body that is not JSON"),
        ):
            status = service.asked(entry, body, kind).status
            if not 400 <= status < 500:
                yield f"{entry['id']}: {what}: answered with {status}, not with a 4xx"


def errors_have_an_outcome(service: Service) -> Iterator[str]:
    for entry in service.some():
        answer = service.asked(entry, b"{")
        if answer.status >= 400 and not (isinstance(answer.body, dict) and "issue" in answer.body):
            yield f"{entry['id']}: the body of a {answer.status} is no OperationOutcome"


def is_quick(service: Service) -> Iterator[str]:
    for entry in service.some():
        body = service.as_sent(entry)
        sent = [
            service.call("POST", f"cds-services/{entry['id']}", body, {"Content-Type": JSON_TYPE}, again=number).seconds
            for number in range(1, TIMES + 1)
        ]
        if statistics.median(sent) > SLOW:
            yield f"{entry['id']}: {statistics.median(sent):.1f} s is the middle of {TIMES} calls, above {SLOW} s"


CHECKS: tuple[Check, ...] = (
    Check("9", (), unknown_elements_are_ignored),
    Check("10", (), charset_is_taken),
    Check("32", (), other_hook_is_refused),
    Check("33", (), any_instance_is_taken),
    Check("34", (), other_patient_is_not_used),
    Check("35", (), long_ids_are_taken),
    Check("36", (), limits_hold),
    Check("37", (), later_context_is_normal),
    Check("52", published(52), outcomes_are_looked_for),
    Check("53", (), epics_empty_answer_is_read),
    Check("55", published(54), required_data_is_missed),
    Check("56", published(53), nothing_found_is_an_answer),
    Check("60", (), any_bundle_is_read),
    Check("61", (), nothing_found_is_an_answer),
    Check("66", (), tokens_are_not_repeated, SEEN, of_answers=True),
    Check("71", published(74), answered_well),
    Check("72", published(77), nothing_to_say_is_an_empty_list),
    Check("75", (), errors_have_an_outcome),
    Check("76", published(77), other_orders_are_no_fault),
    Check("77", published(14, 76), faults_have_their_status),
    Check("77", published(18, 19, 22), needs_what_must_be),
    Check("77", (), access_without_a_server_is_survived),
    Check("133", published(27), is_quick),
)
