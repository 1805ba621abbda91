"""The six states of a prefetch key, and how what came under it is judged (checklist items 50 to 53, 60 and 61).

Missing is not absent, nothing found is not failed, and a part is not the whole: the rules work on these states.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from cds_service.clinical.record import Ignored

from ..resources import Entry, Issue, Link, Resource, listed
from . import templates
from .bundles import Decoded

ABSENT = "absent"  # neither sent nor fetched
NULL = "null"  # sent as null: nothing found
EMPTY = "empty"  # a Bundle without a match: nothing found
INCOMPLETE = "incomplete"  # a part was read, or there may be more than what was
FAILED = "failed"  # an error came instead, or something that is no answer
DATA = "data"


@dataclass(frozen=True, slots=True)
class KeyState:
    """The state of one prefetch key. `reason` is ours and empty for data; `count` is how many resources came."""

    key: str
    state: str
    reason: str = ""
    count: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """One answer, sorted: the matches, what was only included with them, and what the server said about it."""

    kind: str
    own: tuple[Entry, ...]
    resources: tuple[Resource, ...]  # those of `own`
    included: tuple[Entry, ...]
    outcomes: frozenset[str]  # of the weights below
    next_urls: tuple[str, ...]
    self_url: str
    total: Decimal | None
    damaged: int
    ignored: tuple[Ignored, ...]


# How much an issue of an OperationOutcome weighs.
ERROR, PARTIAL, UNKNOWN, NOTHING_FOUND, ROUTINE = "error", "partial", "unknown", "nothing-found", "routine"
_PARTIAL_CODES = frozenset(
    [
        *("not-supported", "incomplete", "timeout", "too-costly", "too-long", "throttled", "transient", "exception"),
        *("suppressed", "forbidden", "security", "login", "expired", "lock-error", "no-store"),
    ]
)
_NO_MATCH = ("include", "outcome")  # Bundle.entry.search.mode of what was not asked for
_ISSUES = 1000  # of one OperationOutcome that are looked at
_NOTHING_FOUND_CODE, _ROUTINE_CODE = "4101", "4119"  # Epic
_NOTHING_FOUND_WORDS = ("no results", "no matching", "no matches", "nothing found")


def sort(decoded: Decoded) -> Page:
    """Matches, includes and outcomes of one answer."""
    own: list[Entry] = []
    resources: list[Resource] = []
    others: list[Entry] = []
    for entry in decoded.entries:  # every entry of a call comes by here: no function calls for what is usual
        resource, search = entry.resource, entry.search
        if (
            resource is None
            or resource.resource_type == "OperationOutcome"
            or (search is not None and search.mode in _NO_MATCH)
        ):
            others.append(entry)
        else:
            own.append(entry)
            resources.append(resource)
    included: list[Entry] = []
    outcomes: set[str] = set()
    ignored = list(decoded.ignored)
    for entry in others:
        resource = entry.resource or Resource()
        if resource.resource_type == "OperationOutcome":
            issues = listed(resource.issue)
            weights = {weigh(issue) for issue in issues[:_ISSUES]} or {UNKNOWN}
            weights |= {PARTIAL} if len(issues) > _ISSUES else set()
            outcomes |= weights
            ignored += [Ignored("OperationOutcome", _NOTES[weight]) for weight in sorted(weights)]
        elif entry.search is not None and entry.search.mode == "include":
            included.append(entry)
        else:
            ignored.append(Ignored(reference_of(resource), REMARK))
    return Page(
        decoded.kind,
        tuple(own),
        tuple(resources),
        tuple(included),
        frozenset(outcomes),
        _urls(decoded.links, "next"),
        next(iter(_urls(decoded.links, "self")), ""),
        decoded.total,
        decoded.damaged,
        tuple(ignored),
    )


_NOTES = {
    ERROR: "the server reported an error",
    PARTIAL: "the server reported that a part is missing",
    UNKNOWN: "the server gave a warning that is not known here",
    NOTHING_FOUND: "the server reported that nothing was found",
    ROUTINE: "the server gave a routine note",
}
REMARK = "sent as a remark on the search, not as data"
REASONS = frozenset([REMARK, *_NOTES.values()])  # why something was not used, as the metrics count it


def weigh(issue: Issue) -> str:
    """What one issue means for the completeness of an answer."""
    if issue.severity in ("error", "fatal"):
        return ERROR
    details = issue.details
    codes = {coding.code for coding in listed(details.coding)} if details else set()
    if _NOTHING_FOUND_CODE in codes:
        return NOTHING_FOUND
    if _ROUTINE_CODE in codes:
        return ROUTINE
    if issue.code in _PARTIAL_CODES:
        return PARTIAL
    if issue.severity in ("information", "success"):
        return ROUTINE
    words = f"{(details.text if details else None) or ''} {issue.diagnostics or ''}"[:1000].casefold()
    return NOTHING_FOUND if any(phrase in words for phrase in _NOTHING_FOUND_WORDS) else UNKNOWN


def judge(pages: Sequence[Page], template: str, unread: str) -> tuple[str, str]:
    """State and reason of a key from what came under it. `unread` says why a further page was not read, if one was not.

    `template` is "" for a key that is the client's own.
    """
    own = [resource for page in pages for resource in page.resources]
    kind = templates.resource_type(template)
    if failure := _failure(pages, own):
        return FAILED, failure
    if template and own and all(resource.resource_type != kind for resource in own):
        return FAILED, f"other resources than {kind}"
    if not own and template and templates.is_read(template):
        return FAILED, f"no {kind} came"
    if pages[0].kind == "null":
        return NULL, "nothing was found"
    if missing := unread or _missing(pages, template, len(own)):
        return INCOMPLETE, missing
    return (DATA, "") if own else (EMPTY, "nothing was found")


def _failure(pages: Sequence[Page], own: Sequence[Resource]) -> str:
    """Why this is no answer at all, or ""."""
    if pages[0].kind == "other":
        return "not FHIR"
    outcomes = _outcomes(pages)
    if ERROR in outcomes:
        return "the server reported an error"
    if pages[0].kind == "resource" and not own and not (outcomes and outcomes <= {NOTHING_FOUND, ROUTINE}):
        return "the server reported a fault" if outcomes else "a resource that cannot be read"
    return ""


def _outcomes(pages: Sequence[Page]) -> set[str]:
    return {outcome for page in pages for outcome in page.outcomes}


def _missing(pages: Sequence[Page], template: str, count: int) -> str:
    """Why this may not be all, or ""."""
    outcomes = _outcomes(pages)
    if PARTIAL in outcomes:
        return "the server reported that a part is missing"
    if UNKNOWN in outcomes and not count:
        return "nothing came but a warning that is not known here"
    if any(page.damaged for page in pages):
        return "an entry could not be read"
    if _ignored_parameters(template, pages[0].self_url):
        return "the server did not use the whole query"
    total = pages[0].total
    if total is not None and total.is_finite() and total > count:
        return "fewer results came than the server counted"
    return ""


def _ignored_parameters(template: str, self_url: str) -> frozenset[str]:
    """Parameters of the template that the server does not repeat; nothing can be said where it repeats no query."""
    if not template or "?" not in self_url or "_getpages=" in self_url:
        return frozenset()
    return templates.filters(template) - templates.filters(self_url)


def _urls(links: Sequence[Link], relation: str) -> tuple[str, ...]:
    return tuple(link.url for link in links if link.url and (link.relation or "").lower() == relation)


def reference_of(resource: Resource) -> str:
    """ "Observation/o1", or the type alone where there is no id."""
    return f"{resource.resource_type}/{resource.id}" if resource.id else resource.resource_type or ""
