"""How the server searches: which search parameters it uses, and what it gives category by category.

A parameter has three witnesses: the account of the server (`link.self`, an OperationOutcome), what it sends (data of
another patient, a code that was not asked for, a wrong order), and counts: a search for what nobody has must find
nothing. Some systems grant access by category, and a search without one returns the granted part only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from ..fhir import templates
from ..fhir.concepts import concepts
from ..fhir.gather import Gathered
from ..fhir.index import PARTIAL, UNKNOWN, UNSUPPORTED
from ..fhir.resources import Component, Resource, listed
from .fhir_server import Reply, Server
from .trials import NOBODY, query_of, subjects

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
    if reply.pages[0].outcomes & {PARTIAL, UNSUPPORTED, UNKNOWN}:
        return Effect(kind, parameter, UNCLEAR, "the server warns, in an OperationOutcome, about the search")
    return Effect(kind, parameter, USED, f"{what} found nothing")


def unrepeated(reply: Reply) -> frozenset[str]:
    """Of patient and code, what `link.self` leaves out; nothing can be said where it repeats no query."""
    if "?" not in reply.self_url or "_getpages=" in reply.self_url:
        return frozenset()
    return frozenset(("patient", "code")) - templates.filters(reply.self_url)


def codes_of(resource: Resource) -> set[str]:
    """The codes of a result and of its components."""
    parts: list[Resource | Component] = [resource, *listed(resource.component)]
    found = [concept for each in parts for concept in concepts(each.code)]
    return {coding.code or "" for each in found for coding in listed(each.coding)}


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


CATEGORIES = {
    "Observation": ("laboratory", "vital-signs", "social-history", "survey", "exam"),
    "Condition": ("problem-list-item", "encounter-diagnosis", "health-concern"),
    "MedicationRequest": ("inpatient", "outpatient", "community", "discharge"),
}
NO_CATEGORY = "b12-cds-doctor-none"
PATIENTS = 2  # with whom this is tried


@dataclass(slots=True)
class Category:
    """What a search by one category gave, over the patients tried."""

    kind: str
    category: str  # "" is the search without category
    found: int = 0
    only_here: int = 0  # of these, what the search without category did not give
    refused: str = ""  # why nothing could be had
    denied: bool = False  # because access is not granted
    cut: bool = False  # not all pages were read
    ignored: bool = False  # a category that does not exist gave results too: the parameter is not used

    @property
    def note(self) -> str:
        """What a person should know of it."""
        if self.refused:
            return self.refused
        if self.ignored:
            return "the server does not use this parameter"
        if self.only_here:
            return f"{self.only_here} of them are missing without the category: is the access granted for part of them?"
        return "not all pages were read" if self.cut else ""


def try_categories(server: Server, patients: Iterable[str]) -> list[Category]:
    """Every type that is split by category somewhere, for a few patients."""
    chosen = list(patients)[:PATIENTS]
    return [each for kind, names in CATEGORIES.items() for each in of_type(server, kind, names, chosen)]


def of_type(server: Server, kind: str, names: Iterable[str], patients: list[str]) -> list[Category]:
    if not patients:
        return []
    all_of_them = Category(kind, "")
    rows = [Category(kind, name) for name in names]
    for patient in patients:
        known = {each.id for each in take(server, all_of_them, patient)}
        ignored = bool(server.ask(category_query(kind, patient, NO_CATEGORY)).resources)
        for row in rows:
            if ignored:
                row.ignored = True
                continue
            found = take(server, row, patient)
            if not all_of_them.cut and not all_of_them.refused:
                row.only_here += len({each.id for each in found} - known)
    return [all_of_them, *rows]


def take(server: Server, row: Category, patient: str) -> list[Resource]:
    """The resources of one search, counted."""
    query = category_query(row.kind, patient, row.category)
    reply: Reply = server.read(query, pages=server.limits.shallow_pages)
    found = [each for each in reply.resources if each.resource_type == row.kind]
    row.found += len(found)
    row.cut = row.cut or bool(reply.cut)
    row.refused = row.refused or reply.failure
    row.denied = row.denied or reply.status in (401, 403)
    return found
