"""Each search parameter of our templates: does the server use it, or does it answer as if it were not there?

Three witnesses: the server's own account (`link.self`, an OperationOutcome), what it sends (another patient's data, a
code that was not asked for, a wrong order), and counts: a search for what nobody has must find nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from ..fhir.gathering import templates
from ..fhir.gathering.gather import Gathered
from ..fhir.gathering.key_states import PARTIAL, UNKNOWN
from ..fhir.resources import Resource, listed
from .access import Reply, Server
from .patients import NOBODY, query_of, subjects

USED, IGNORED, REFUSED, UNCLEAR = "used", "ignored", "refused", "cannot be told"
NO_CODE = "b12-cds-doctor-no-such-code"


@dataclass(frozen=True, slots=True)
class Effect:
    """What became of one parameter of the searches for one type."""

    kind: str
    parameter: str
    effect: str
    how: str = ""


def try_parameters(server: Server, published: Mapping[str, str], gathered: Mapping[str, Gathered]) -> list[Effect]:
    """`patient` for each type, and what else an Observation search has, each with the patient who has most of it."""
    effects = []
    kinds: dict[str, list[str]] = {}
    for key, template in published.items():
        if not templates.is_read(template):
            kinds.setdefault(templates.resource_type(template), []).append(key)
    for kind, keys in kinds.items():
        key, patient, count = fullest(keys, gathered)
        if not count:
            effects.append(Effect(kind, "patient", UNCLEAR, "none of the patients tried has any"))
            continue
        effects.append(by_patient(server, published[key], patient))
        if "code" in templates.filters(published[key]):
            effects += by_code_and_order(server, published[key], patient)
    return effects


def fullest(keys: Iterable[str], gathered: Mapping[str, Gathered]) -> tuple[str, str, int]:
    """The key and the patient with most resources."""
    best = ("", "", 0)
    for patient, found in gathered.items():
        for key in keys:
            state = found.states.get(key)
            if state is not None and state.count > best[2]:
                best = (key, patient, state.count)
    return best


def by_patient(server: Server, template: str, patient: str) -> Effect:
    """`patient`: nothing of anybody else, and nothing at all for nobody."""
    kind = templates.resource_type(template)
    reply = server.ask(query_of(template, patient))
    if set(subjects(reply.resources)) - {patient}:
        return Effect(kind, "patient", IGNORED, "resources of other patients came")
    nobody = server.ask(query_of(template, NOBODY))
    return judged(kind, "patient", reply, nobody, "a search for a patient that does not exist")


def by_code_and_order(server: Server, template: str, patient: str) -> list[Effect]:
    """`code`, `_sort` and `_count` of the Observation searches."""
    query, kind = query_of(template, patient), templates.resource_type(template)
    reply = server.ask(query)
    asked = templates.codes(template)
    if any(not asked & codes_of(each) for each in reply.resources):
        effects = [Effect(kind, "code", IGNORED, "results of other codes came")]
    else:
        none = server.ask(re.sub(r"([?&]code=)[^&]*", rf"\g<1>{NO_CODE}", query))
        effects = [judged(kind, "code", reply, none, "a search for a code that does not exist")]
    return [*effects, of_order(server, kind, patient, reply), of_page_size(server, kind, query, reply)]


def judged(kind: str, parameter: str, reply: Reply, probe: Reply, what: str) -> Effect:
    """By the count of a search that must find nothing, then by what the server says itself."""
    if not reply.pages:
        return Effect(kind, parameter, REFUSED, reply.failure)
    if probe.resources:
        return Effect(kind, parameter, IGNORED, f"{what} found {len(probe.resources)}")
    if parameter in unrepeated(reply):
        return Effect(kind, parameter, UNCLEAR, "link.self does not repeat it, but the counts say that it is used")
    if reply.pages[0].outcomes & {PARTIAL, UNKNOWN}:
        return Effect(kind, parameter, UNCLEAR, "the server warns, in an OperationOutcome, about the search")
    return Effect(kind, parameter, USED, f"{what} found nothing")


def unrepeated(reply: Reply) -> frozenset[str]:
    """Of patient and code, what `link.self` leaves out; nothing can be said where it repeats no query."""
    if "?" not in reply.self_url or "_getpages=" in reply.self_url:
        return frozenset()
    return frozenset(("patient", "code")) - templates.filters(reply.self_url)


def codes_of(resource: Resource) -> set[str]:
    """The codes of a result and of its components."""
    concepts = [concept for each in (resource, *listed(resource.component)) for concept in listed(each.code)]
    return {coding.code or "" for each in concepts if not isinstance(each, str) for coding in listed(each.coding)}


def of_order(server: Server, kind: str, patient: str, reply: Reply) -> Effect:
    """`_sort=-date`: what is cut off must be the oldest. The service itself chooses the newest, whatever the order."""
    days = days_of(reply)
    if len(set(days)) < 2:  # all of one day; of everything that the patient has some may be of another
        days = days_of(server.ask(category_query(kind, patient, "") + "&_sort=-date"))
    if len(set(days)) < 2:
        return Effect(kind, "_sort", UNCLEAR, "too few dated results")
    if days == sorted(days, reverse=True):
        return Effect(kind, "_sort", USED, "the newest came first")
    return Effect(kind, "_sort", IGNORED, "not newest first; harmless unless pages are cut off")


def days_of(reply: Reply) -> list[str]:
    return [each.effective_date_time[:10] for each in reply.resources if each.effective_date_time]


def of_page_size(server: Server, kind: str, query: str, reply: Reply) -> Effect:
    """`_count` is a page size: a wish that a server may not grant."""
    if len(reply.resources) < 2:
        return Effect(kind, "_count", UNCLEAR, "too few results")
    one = server.ask(re.sub(r"_count=\d+", "_count=1", query))
    if len(one.resources) == 1:
        more = f"; its largest page seen holds {len(reply.resources)}" if reply.pages[0].next_urls else ""
        return Effect(kind, "_count", USED, f"_count=1 gave one result{more}")
    return Effect(kind, "_count", IGNORED, f"_count=1 gave {len(one.resources)}; harmless, pages are followed")


def category_query(kind: str, patient: str, category: str) -> str:
    """A search by category for one patient; "" for all categories."""
    wanted = f"&category={quote(category)}" if category else ""
    return f"{kind}?patient={quote(patient, safe='')}{wanted}&_count=200"
