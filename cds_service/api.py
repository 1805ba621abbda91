"""The Python API: one patient's record as a FHIR Bundle in, a typed answer out.

    from datetime import date
    from cds_service.api import evaluate_record

    answer = evaluate_record(bundle, date(2026, 1, 15), "uk-ng239")
    answer.label, answer.rows, answer.drafts, answer.missing

The same `evaluate` as for a hook call judges the record, as for patient-view. Nothing is fetched, stored or logged. The
settings of the service count, as they do for `b12-cds explain`: a site's folder (CDS_SITE_DIR), the time zone, the
prefetch set. Names and meanings of what is public here stay as they are; fields may be added.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache
from itertools import chain
from typing import Any

import msgspec

from .app import client_config
from .bounds import MEGABYTE, OutOfTime
from .cdshooks.bundle_call import BundleRefused, Extent, call_of_bundle
from .cdshooks.client_config import REQUIRED, ClientConfig
from .cdshooks.faults import BadRequest
from .cdshooks.registry import DEFAULT_HOOK
from .cdshooks.requests import read_request
from .clinical.advice import row_name
from .clinical.tables import Pathway, Provenance
from .content.content import load_content
from .content.files import cards_folder
from .evaluate import Evaluation
from .explanation import answer_saved, not_used
from .settings import PREFIX, load_settings

__all__ = [
    "Because", "Card", "DataMissing", "Draft", "Extent", "Finding", "RecordAnswer", "RecordRefused", "Row", "Source",
    "Unused", "evaluate_record",
]  # fmt: skip

Json = dict[str, Any]
ENCODER = msgspec.json.Encoder(decimal_format="number")
DECODER = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


class RecordRefused(ValueError):
    """The record cannot be judged. The text is one line that names the fault and what is allowed, and repeats nothing
    of the record."""


class DataMissing(RecordRefused):
    """Data without which nothing can be said is not there: a hook call would be answered with 412. `missing` names the
    prefetch keys."""

    def __init__(self, missing: tuple[str, ...]) -> None:
        self.missing = missing
        super().__init__(
            f"required data is missing: {', '.join(missing)}. Put it into the Bundle; or, if it was looked for and "
            "there is none, say that the record is complete"
        )


@dataclass(frozen=True, slots=True)
class Source:
    """A publication: `url` and `published` are "" where none is certain."""

    title: str
    url: str
    published: str


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the tables that holds for this patient ("interpret/deficient"), with what it rests on. `evidence` is
    "primary", "secondary" or "design"; `checked` is when it was last compared with its source."""

    name: str
    source: Source
    evidence: str
    checked: date | None


@dataclass(frozen=True, slots=True)
class Because:
    """What a finding rests on: a resource of the record ("Observation/o1", or ""), and in words."""

    reference: str
    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A statement about the patient that holds, with its evidence."""

    name: str
    because: tuple[Because, ...]


@dataclass(frozen=True, slots=True)
class Draft:
    """An order that the advice suggests: `kind` is "test", "medicine", "follow-up" or "problem", `id` its name in the
    content, `row` the row that suggests it."""

    kind: str
    id: str
    row: str


@dataclass(frozen=True, slots=True)
class Card:
    """One card as a client would get it. `suggestions` are those of CDS Hooks, with their FHIR resources."""

    indicator: str
    summary: str
    detail: str
    rows: tuple[str, ...]
    source: Mapping[str, Any]
    suggestions: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Unused:
    """What was in the record and not used, and why."""

    reference: str
    reason: str


@dataclass(frozen=True, slots=True)
class RecordAnswer:
    """What is said of one record on one day.

    No card is no reassurance: it means that no row asks for one, given what the record shows. `missing` is required
    data that was not there: then only what follows without it is said. `unavailable` is what else was not there,
    `incomplete` what was there in part; advice that rests on either says so.
    """

    pathway: str
    content_version: str
    approved: bool  # by the organisation whose folder is laid over the content
    as_of: date
    label: str
    label_words: str
    course: str
    due: date | None  # of the next injection
    rows: tuple[Row, ...]
    findings: tuple[Finding, ...]
    cards: tuple[Card, ...]
    drafts: tuple[Draft, ...]
    missing: tuple[str, ...]
    unavailable: tuple[str, ...]
    incomplete: tuple[str, ...]
    unused: tuple[Unused, ...]


def evaluate_record(
    bundle: Mapping[str, Any] | bytes | str, as_of: date, pathway: str = "", *, extent: Extent | None = None
) -> RecordAnswer:
    """Judge one patient's record as on that day.

    `bundle`: a FHIR R4 Bundle that holds one Patient and what belongs to it, as JSON or decoded. `pathway`: "uk-ng239",
    "us-aafp" or a site's own; "": that of the settings. `extent`: how much of the record the Bundle is; without it, a
    kind of resource that is not in the Bundle was not looked for.

    Raises RecordRefused for what cannot be judged, DataMissing where the patient or the B12 results are not there and
    nothing can be said without them; SettingsError or ContentError where the service itself could not start.
    """
    config, largest = configured(pathway)
    try:
        told = decoded(bundle, largest)
        body = ENCODER.encode(call_of_bundle(told, config.templates, extent or Extent()))
        if len(body) > largest:
            raise RecordRefused(f"the record is larger than {largest} bytes (CDS_MAX_BODY_MB)")
        found = answer_saved(read_request(body, DEFAULT_HOOK), config, as_of)
    except BundleRefused as error:
        raise RecordRefused(str(error)) from None
    except BadRequest as error:
        raise RecordRefused("; ".join(fault.text for fault in error.faults)) from None
    except OutOfTime:
        raise RecordRefused("the record holds more than can be read in the time of a call") from None
    except RecursionError:
        raise RecordRefused("the Bundle is nested too deep") from None
    except UnicodeEncodeError:
        raise RecordRefused("the Bundle holds half a surrogate pair, which is no text") from None
    if found.status == 412:
        raise DataMissing(found.missing)
    return answer_of(found, config, as_of)


def decoded(bundle: object, largest: int) -> object:
    """The Bundle as plain values, its numbers with their digits."""
    if isinstance(bundle, Mapping):
        return dict(bundle)
    if not isinstance(bundle, str | bytes | bytearray | memoryview):
        raise RecordRefused("what was given is no Bundle; allowed are JSON as text or bytes, and decoded JSON")
    try:
        body = bundle.encode() if isinstance(bundle, str) else bundle
        if len(body) > largest:
            raise RecordRefused(f"the record is larger than {largest} bytes (CDS_MAX_BODY_MB)")
        return DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeError):
        raise RecordRefused("the Bundle is not JSON") from None


def configured(pathway: str) -> tuple[ClientConfig, int]:
    """The configuration under the settings of this environment, and the largest record in bytes."""
    return configured_by(pathway, frozenset(each for each in os.environ.items() if each[0].upper().startswith(PREFIX)))


@lru_cache(maxsize=8)
def configured_by(pathway: str, environment: frozenset[tuple[str, str]]) -> tuple[ClientConfig, int]:
    """The same. The content is read once a process and environment."""
    settings = load_settings()
    content = load_content(cards_folder(), settings.site_dir)
    if pathway and pathway not in content.pathways:
        raise RecordRefused(f"there is no pathway of that name; known: {', '.join(sorted(content.pathways))}")
    chosen = settings.model_copy(update={"pathway": pathway}) if pathway else settings
    return client_config(chosen, content), settings.max_body_mb * MEGABYTE


def answer_of(found: Evaluation, config: ClientConfig, as_of: date) -> RecordAnswer:
    """An evaluation in the types of this module."""
    decision = found.decision
    origins = dict(provenances(config.pathway))
    return RecordAnswer(
        pathway=config.pathway.id,
        content_version=config.content.version,
        approved=config.content.is_approved,
        as_of=as_of,
        label=decision.label,
        label_words=config.pathway.messages.get(f"labels.{decision.label}", decision.label),
        course=decision.course,
        due=found.assessment.case.course.due,
        rows=tuple(row_of(name, origins.get(name), config.pathway) for name in decision.rows),
        findings=tuple(
            Finding(each.name, tuple(Because(one.reference, one.text) for one in each.because))
            for each in decision.findings.values()
        ),
        cards=tuple(cards_of(found)),
        drafts=tuple(Draft(one.kind, one.id, each.row) for each in decision.advice for one in each.drafts),
        missing=found.missing,
        unavailable=tuple(key for key in config.templates if key in found.record.unavailable and key not in REQUIRED),
        incomplete=tuple(key for key in config.templates if key in found.record.incomplete),
        unused=tuple(Unused(each["reference"], each["reason"]) for each in not_used(found)),
    )


def provenances(pathway: Pathway) -> Iterator[tuple[str, Provenance | None]]:
    """Where each row of a pathway comes from, by its name."""
    tables = (pathway.course, pathway.interpret, pathway.treat, pathway.safety, pathway.orders)
    for row in chain.from_iterable(tables):
        yield row_name(row), row.provenance
    for name, card in pathway.fixed.items():
        yield f"fixed/{name}", card.provenance


def row_of(name: str, origin: Provenance | None, pathway: Pathway) -> Row:
    """A row with its source; one of the project's own where the content states none."""
    if origin is None:
        return Row(name, Source("", "", ""), "design", None)
    source = pathway.sources[origin.source]
    return Row(name, Source(source.title, source.url, source.published), origin.evidence, origin.checked)


def cards_of(found: Evaluation) -> Iterable[Card]:
    """The cards as they are sent, each with its rows."""
    for card in found.cards:
        rows = tuple(each.row for each in found.shown if each.card == card["uuid"])
        suggestions = tuple(card.get("suggestions", ()))
        yield Card(card["indicator"], card["summary"], card.get("detail", ""), rows, card["source"], suggestions)
