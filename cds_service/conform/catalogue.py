"""Checks of what is there before any call: transport, discovery, prefetch templates."""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from ..fhir.tokens import USERS, UnknownToken, check
from .calls import CONTEXTS, JSON_TYPE, Json, Service, decoded, is_path_segment
from .checklist import Check, NotTried, published

TOKEN = re.compile(r"\{\{(.*?)\}\}")
PLAIN_TOKEN = re.compile(r"\s*context\.[A-Za-z]+\s*")
USER_TOKEN = re.compile(rf"\s*(?:{'|'.join(USERS)})\s*")
NO_TOKENS = ("selections", "draftOrders", "appointments", "dispatchedOrders", "fulfillmentTasks", "performer")
READ = re.compile(r"[A-Z][A-Za-z]+/[^/?]+")
SEARCH = re.compile(r"[A-Z][A-Za-z]+\?\S+")
KEY = re.compile(r"\S+(?: \S+)*")
BEYOND = ("_include", "_revinclude", "_elements", "_summary", "_has", "_filter", "_lastn", "_contained")
DATE_PREFIXES = ("ne", "sa", "eb", "ap")
LONGEST_TEMPLATE = 1500  # encoded characters


# Transport and discovery


def is_json(service: Service) -> Iterator[str]:
    for place, answer in service.answers():
        kind = answer.reply.headers.get("content-type", "")
        if kind.partition(";")[0].strip().lower() != JSON_TYPE:
            yield f"{place}: Content-Type is not {JSON_TYPE}"


def is_strict_json(service: Service) -> Iterator[str]:
    for place, answer in service.answers():
        if fault := not_strict(answer.reply.body):
            yield f"{place}: {fault}"


def not_strict(body: bytes) -> str:
    """What of a body is no JSON as RFC 8259 has it between systems, of which clients make different things."""
    if decoded(body) is None:
        return "the body is no JSON in UTF-8"
    if body.startswith(BOM_UTF8):
        return "a byte order mark stands before the JSON"
    twice: list[str] = []

    def named_once(pairs: list[tuple[str, Any]]) -> Json:
        twice.extend(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        return dict(pairs)

    json.loads(body, object_pairs_hook=named_once)
    return f"{twice[0]} stands twice in one object; some clients take the first, some the last" if twice else ""


def is_encrypted(service: Service) -> Iterator[str]:
    if service.url.startswith("http://"):
        raise NotTried("the service is on this machine")
    yield from ()


def is_always_there(service: Service) -> Iterator[str]:
    if service.discovery.status != 200:
        yield f"GET /cds-services is answered with {service.discovery.status}"


def has_titles(service: Service) -> Iterator[str]:
    for entry in listed(service):
        if not str(entry.get("title", "")).strip():
            yield f"{entry.get('id')}: no title"


def can_be_addressed(service: Service) -> Iterator[str]:
    for entry in listed(service):
        name = str(entry.get("id", ""))
        if name and not is_path_segment(name):
            yield f"{name}: the id is no path segment"
    for entry in service.tried:
        answer = service.answered(entry, service.request(entry))
        if answer is not None and answer.status in (404, 405):
            yield f"{entry['id']}: POST /cds-services/{entry['id']} is answered with {answer.status}"


def has_own_ids(service: Service) -> Iterator[str]:
    ids = [str(each.get("id")) for each in listed(service)]
    for name in sorted({each for each in ids if ids.count(each) > 1}):
        yield f"{name}: listed more than once; some clients know a service by its id alone"


def answers_other_methods(service: Service) -> Iterator[str]:
    for method in ("HEAD", "OPTIONS"):
        status = service.call(method, "cds-services").status
        if status >= 400:
            yield f"{method} /cds-services is answered with {status}"
    posted = service.call("POST", "cds-services", b"{}", {"Content-Type": JSON_TYPE}).status
    if posted not in (404, 405) and not service.asks_who_calls(posted):
        yield f"POST /cds-services is answered with {posted}, not 405"


def listed(service: Service) -> list[Json]:
    if not service.entries:
        raise NotTried("no service is listed")
    return service.entries


# Prefetch templates


def templates(service: Service) -> Iterator[tuple[str, str, str]]:
    """Every template: the place, the hook and the text; NotTried without any."""
    found = [
        (f"{entry.get('id')}.{key}", str(entry.get("hook")), text)
        for entry in listed(service)
        for key, text in (entry["prefetch"] if isinstance(entry.get("prefetch"), dict) else {}).items()
        if isinstance(text, str)
    ]
    if not found:
        raise NotTried("no service asks for prefetch")
    yield from found


def parameters(text: str) -> list[tuple[str, str]]:
    """The parameters of a search: names and values, as they are written."""
    given = (each.partition("=") for each in text.partition("?")[2].split("&") if each)
    return [(name, value) for name, _, value in given]


def are_relative(service: Service) -> Iterator[str]:
    for place, _, text in templates(service):
        bare = TOKEN.sub("x", text)
        if not (READ.fullmatch(bare) or SEARCH.fullmatch(bare)):
            yield f"{place}: is no relative FHIR read or search"


def tokens_are_closed(service: Service) -> Iterator[str]:
    for place, _, text in templates(service):
        left = TOKEN.sub("", text)
        if "{{" in left or "}}" in left:
            yield f"{place}: a token that is not between {{{{ and }}}}"


def speaking_3_0(service: Service) -> set[str]:
    """The ids of the services that say that they do."""
    return {str(each.get("id")) for each in listed(service) if str(each.get("version", "")).startswith("3.")}


def tokens_are_fields(service: Service) -> Iterator[str]:
    """Before 3.0 a token is the name of a field and nothing else."""
    modern = speaking_3_0(service)
    for place, hook, text in templates(service):
        fields = CONTEXTS[hook]("x") if hook in CONTEXTS else {}
        known = {"userId", "patientId", "encounterId", *fields} - set(NO_TOKENS)
        for token in TOKEN.findall(text):
            name = token.strip().removeprefix("context.")
            if PLAIN_TOKEN.fullmatch(token) and (name not in known):
                yield f"{place}: context.{name} is no field of {hook} that may be a token"
            elif not_a_name(token) and place.rpartition(".")[0] not in modern:
                yield f"{place}: {{{{{token}}}}} is neither a field of the context nor the id of a user"


def not_a_name(token: str) -> bool:
    """Is a token more than a field of the context or the id of a user?"""
    return not (PLAIN_TOKEN.fullmatch(token) or USER_TOKEN.fullmatch(token))


def tokens_are_simple(service: Service) -> Iterator[str]:
    """FHIRPath is for services that say that they speak 3.0, and within the grammar of its text."""
    modern = speaking_3_0(service)
    has_fhirpath = False
    for place, _, text in templates(service):
        odd = [each for each in TOKEN.findall(text) if not_a_name(each)]
        has_fhirpath = has_fhirpath or bool(odd)
        if odd and place.rpartition(".")[0] not in modern:
            yield f"{place}: FHIRPath in a token, though discovery does not say that CDS Hooks 3.0 is spoken"
        for token in odd:
            try:
                check(f"{{{{{token}}}}}")
            except UnknownToken as unknown:
                yield f"{place}: {unknown}"
    if not has_fhirpath:
        raise NotTried("no template has FHIRPath in a token")


def are_in_the_subset(service: Service) -> Iterator[str]:
    for place, _, text in templates(service):
        for name, value in parameters(text):
            parameter, _, modifier = name.partition(":")
            if parameter in BEYOND or "." in parameter or (modifier and modifier != "in"):
                yield f"{place}: {name} is outside of the subset of searches that clients need to know"
            if parameter in ("date", "authored", "recorded-date") and value.startswith(DATE_PREFIXES):
                yield f"{place}: {name} with a prefix other than eq, lt, gt, ge, le"


def are_short(service: Service) -> Iterator[str]:
    for place, _, text in templates(service):
        if len(quote(TOKEN.sub("x" * 64, text), safe="?=&/%")) > LONGEST_TEMPLATE:
            yield f"{place}: longer than {LONGEST_TEMPLATE} encoded characters, which some servers do not take"


def sort_as_fhir_does(service: Service) -> Iterator[str]:
    for place, _, text in templates(service):
        if any(name.startswith(("sort", "_sort:")) for name, _ in parameters(text)):
            yield f"{place}: FHIR R4 sorts with _sort=-date"


def repeat_no_parameter(service: Service) -> Iterator[str]:
    for place, _, text in templates(service):
        names = [name for name, _ in parameters(text)]
        if len(set(names)) < len(names):
            yield f"{place}: a parameter twice, which some clients merge into one"


def keys_are_codes(service: Service) -> Iterator[str]:
    for entry in listed(service):
        for key in entry["prefetch"] if isinstance(entry.get("prefetch"), dict) else {}:
            if not KEY.fullmatch(key):
                yield f"{entry.get('id')}: {key!r} is no key: no space before, after, or two in a row"


CHECKS: tuple[Check, ...] = (
    Check("1", published(1), is_json),
    Check("2", published(2, 168), is_encrypted),
    Check("6", published(1), is_strict_json),
    Check("11", published(4, 5), is_always_there),
    Check("12", published(13), is_always_there),
    Check("15", published(8), has_titles),
    Check("18", published(10, 16), can_be_addressed),
    Check("19", published(211), has_own_ids),
    Check("25", (), answers_other_methods),
    Check("38", published(29, 43), are_relative),
    Check("39", published(55), tokens_are_closed),
    Check("40", published(56, 57, 59), tokens_are_fields),
    Check("42", published(56), tokens_are_simple),
    Check("43", published(58), are_in_the_subset),
    Check("44", (), are_short),
    Check("45", (), sort_as_fhir_does),
    Check("46", (), repeat_no_parameter),
    Check("47", published(36), keys_are_codes),
)
