"""The examination: the questions that a person has before go-live, one after the other. Read this first.

What does the server say of itself; which patients can it be tried with; how long does a call take; does it answer
each template; does it use each parameter; what does it give by category; which codes and units are there, and which
of them are not mapped? The verdict answers, in sentences with reasons, whether the service would work there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path

from ..cdshooks.client_config import REQUIRED, ClientConfig
from ..content.files import VALUE_SETS
from .fhir_server import Capability, NoServer, Server, read_capability
from .overlay import (
    Lines,
    Overlay,
    code_lines,
    code_questions,
    in_files,
    unit_faults,
    unit_lines,
    unit_questions,
    unit_remarks,
)
from .searches import IGNORED, Category, Effect, try_categories, try_parameters
from .survey import LabTally, Survey
from .trials import Sample, Timing, Trial, choose_patients, time_calls, try_templates

B12 = ("b12", "active-b12")
NOT_NEEDED = ("vital-signs", "survey", "exam")  # nothing that decides stands there
NOTHING_READ = "Nothing here can be read"
YES, PARTLY, NO, UNKNOWN = "yes", "partly", "no", "unknown"


@dataclass(frozen=True, slots=True)
class Fit:
    """How one prefetch set fares there: which keys are not answered, because the type is not there or for another
    reason."""

    works: str
    unsupported: tuple[str, ...] = ()  # keys
    failing: tuple[str, ...] = ()  # keys
    partial: tuple[str, ...] = ()  # keys


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the service would work, with which set ("" if with none), and why."""

    works: str
    prefetch: str
    sentences: tuple[str, ...]


def fit_of(keys: Iterable[str], trials: Mapping[str, Trial], patients: int) -> Fit:
    """The fit of a set of keys. A search over everybody that is refused says nothing about one for a patient."""
    tried = [trials[key] for key in keys if trials[key].states]
    unsupported = tuple(each.key for each in tried if each.unsupported)
    failing = tuple(each.key for each in tried if patients and not each.answered and not each.unsupported)
    partial = tuple(each.key for each in tried if patients and each.answered and not each.whole)
    if any(key in REQUIRED for key in (*unsupported, *failing)):
        works = NO
    elif not patients:
        works = UNKNOWN
    else:
        works = PARTLY if unsupported or failing or partial else YES
    return Fit(works, unsupported, failing, partial)


def doubts_of(effects: Iterable[Effect], categories: Iterable[Category], labs: LabTally) -> list[str]:
    """What makes an answer unsafe to rely on although every template is answered."""
    doubts = []
    others = sorted({each.kind for each in effects if each.parameter == "patient" and each.effect == IGNORED})
    if others:
        doubts.append(
            f"A search by patient returns other patients' data ({', '.join(others)}): the service ignores it, but no "
            "answer would be sure to be whole."
        )
    for each in categories:
        named = f"{each.kind} of category {each.category}"
        if each.category in NOT_NEEDED:
            continue
        if each.denied and each.category:
            doubts.append(f"{named}: access is not granted, and a search without category would not say so.")
        elif each.only_here:
            doubts.append(f"{named}: only those who name the category are given it, and our templates name none.")
    unseen = sum(sum(labs.suspected.get(analyte, {}).values()) for analyte in B12)
    if unseen:
        doubts.append(f"{unseen} results that are B12 by their name are not mapped: a call would not judge them.")
    return doubts


def losses_of(survey: Survey) -> list[str]:
    """What a call would leave out of what the server has, where that makes its answers empty."""
    named = sum(sum(each.values()) for each in survey.labs.mapped.values())
    named += survey.labs.uncoded.total() + survey.labs.textual.total()
    named += sum(sum(each.values()) for each in survey.labs.suspected.values())
    entries = survey.medicines.entries
    losses = []
    if named and not survey.usable.total() and not survey.used_medicines:
        losses.append(
            f"{NOTHING_READ}: of {named} results of our tests and {entries} entries about medicines a call would use "
            "none."
        )
    elif named and not survey.usable.total():
        losses.append(f"No result here can be read: of {named} results of our tests a call would use none.")
    b12 = sum(sum(survey.labs.mapped.get(analyte, {}).values()) for analyte in B12)
    if not losses and b12 and not any(survey.usable[analyte] for analyte in B12):
        losses.append(f"No B12 result here can be read: of {b12} a call would use none.")
    return losses


def verdict_of(
    capability: Capability, fits: Mapping[str, Fit], sample: Sample, doubts: list[str], messages: Mapping[str, str]
) -> Verdict:
    """The verdict over both sets."""
    if not capability.readable:
        sentence = f"The server speaks FHIR {capability.fhir_version}; the service reads R4 (4.0.1)."
        return Verdict(NO, "", (sentence,))
    full, minimal = fits["full"], fits["minimal"]
    if doubts and doubts[0].startswith(NOTHING_READ):
        return Verdict(NO, "", tuple(doubts))
    reasons = [sentence for name, fit in fits.items() if (sentence := about(name, fit, messages))] + doubts
    if minimal.works == NO:
        return Verdict(NO, "", ("The service would not work: data that every answer needs is not had.", *reasons))
    if minimal.works == UNKNOWN:
        why = f": {'; '.join(sample.failures)}" if sample.failures else ""
        sentence = f"It cannot be said whether the service would work: no patient was found to try it with{why}."
        return Verdict(UNKNOWN, "", (sentence, "Name some, one id a line, with --patients FILE.", *reasons))
    if full.works == YES and not doubts:
        return Verdict(YES, "full", ("The service would work, with the full prefetch set.", *reasons))
    if minimal.works == YES and not doubts:
        sentence = "The service would work, with the minimal prefetch set (CDS_PREFETCH=minimal)."
        return Verdict(YES, "minimal", (sentence, *reasons))
    chosen = "minimal" if minimal.works == YES != full.works else "full"
    sentence = f"The service would work in part, with the {chosen} prefetch set. What stands in the way:"
    return Verdict(PARTLY, chosen, (sentence, *reasons))


def about(name: str, fit: Fit, messages: Mapping[str, str]) -> str:
    """What a set would lack, in words."""
    parts = [
        f"{what}: {', '.join(key_in_words(key, messages) for key in keys)}"
        for what, keys in (
            ("not supported", fit.unsupported),
            ("not answered", fit.failing),
            ("answered in part only", fit.partial),
        )
        if keys
    ]
    return f"With the {name} set, {'; '.join(parts)}." if parts else ""


def key_in_words(key: str, messages: Mapping[str, str]) -> str:
    """A prefetch key with what it holds."""
    return f"{key} ({messages[f'prefetch.{key}']})" if f"prefetch.{key}" in messages else key


QUESTIONS = 8
UNITS_FILE = "analytes.toml"
ASKED_401 = "the FHIR server asks for a token: give one (--token-file, or CDS_FHIR_TOKEN)"
REFUSED_401 = "the FHIR server does not accept the token"
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ExaminationRequest:
    """What is examined, and with what: the service as it would run there."""

    service: ClientConfig
    timed_sets: tuple[str, ...]  # which prefetch sets are timed
    patients: tuple[str, ...] = field(default=(), repr=False)
    site: Path | None = None
    call_seconds: float = 2.0
    has_token: bool = False


@dataclass(frozen=True, slots=True)
class Examination:
    """Everything that was found out."""

    capability: Capability
    sample: Sample
    verdict: Verdict
    fits: Mapping[str, Fit]
    trials: Mapping[str, Trial]
    effects: list[Effect]
    categories: list[Category]
    timings: list[Timing]
    survey: Survey
    overlay: Overlay
    remarks: list[str]


def examine(server: Server, request: ExaminationRequest, now: datetime, progress: Progress) -> Examination:
    """Ask everything. `progress` is called with each of the QUESTIONS in turn. Raises NoServer."""
    content = request.service.content
    published = content.prefetch["full"]  # the minimal set is a part of it
    progress("what the server says of itself")
    capability = read_capability(server)
    progress("which patients it shows")
    sample = sample_of(server, request)
    progress("how long a call takes")
    timings = [timed(server, request, name, sample, now) for name in request.timed_sets]
    progress("each prefetch template")
    tried = try_templates(server, published, capability, sample.ids)
    progress("each search parameter")
    effects = try_parameters(server, published, tried.gathered)
    progress("each category")
    categories = try_categories(server, sample.ids)
    progress("codes and units of laboratory results")
    survey = Survey(server, request.service, day_of(request, now), sample.ids)
    survey.gathered(tried.gathered.values())
    survey.laboratory(published)
    progress("codes of medicines")
    survey.all_medicines()
    fits = {name: fit_of(keys, tried.trials, len(sample.ids)) for name, keys in content.prefetch.items()}
    doubts = [*losses_of(survey), *doubts_of(effects, categories, survey.labs)]
    verdict = verdict_of(capability, fits, sample, doubts, content.messages)
    overlay, remarks = unmapped_of(survey, request, day_of(request, now))
    remarks = [*capability.remarks, *remarks]
    return Examination(
        capability, sample, verdict, fits, tried.trials, effects, categories, timings, survey, overlay, remarks
    )


def sample_of(server: Server, request: ExaminationRequest) -> Sample:
    """Patients to try the server with. Raises NoServer where it gives nothing at all for want of a token."""
    sample = choose_patients(server, request.service.content.prefetch["full"], request.patients)
    if sample.refused:
        raise NoServer(f"{server.base.url}: {REFUSED_401 if request.has_token else ASKED_401}")
    return sample


def timed(server: Server, request: ExaminationRequest, name: str, sample: Sample, now: datetime) -> Timing:
    """Calls with this prefetch set."""
    return time_calls(server, name, with_set(request.service, name), sample.ids, now, allowed=request.call_seconds)


def day_of(request: ExaminationRequest, now: datetime) -> date:
    """The calendar day where the service stands."""
    return now.astimezone(request.service.zone).date()


def with_set(service: ClientConfig, name: str) -> ClientConfig:
    """The service as it is when this prefetch set is published."""
    return replace(service, templates=service.content.prefetch[name])


def unmapped_of(survey: Survey, request: ExaminationRequest, today: date) -> tuple[Overlay, list[str]]:
    """What is not mapped, as lines and questions; and what no overlay can mend."""
    content, analytes = request.service.content, request.service.pathway.analytes
    codes = code_lines(survey.labs, survey.medicines, analytes, Lines(survey.privacy, today))
    faults = unit_faults(survey.labs, {each.identity for each in codes if each.why_not})
    files = in_files(codes, present_in(request.site))
    units = unit_lines(faults, analytes, survey.privacy)
    if units:
        files[UNITS_FILE] = units
    questions = code_questions(codes, content.displays) + unit_questions(faults, analytes, survey.privacy)
    remarks = unit_remarks(faults, analytes, survey.privacy)
    for name, times in survey.labs.uncoded.most_common():
        remarks.append(f"{content.displays[name]}: {times} results without any code; no line can map them.")
    for name, times in survey.labs.textual.most_common():
        remarks.append(
            f"{content.displays[name]}: {times} results are words instead of a number; no call can judge them."
        )
    if survey.medicines.nameless:
        remarks.append(f"{survey.medicines.nameless} entries about medicines name none that can be read.")
    if survey.other_offset and not request.service.zone_stated:
        remarks.append("Times come with an offset from UTC, and CDS_TIME_ZONE is not set: some days are another's.")
    if survey.unreadable:
        remarks.append(f"{survey.unreadable} resources could not be read.")
    return Overlay(files, codes, questions), remarks


def present_in(site: Path | None) -> frozenset[str]:
    """The value sets that the site's folder has already."""
    found: Iterable[Path] = [] if site is None else (site / VALUE_SETS).glob("*.csv")
    return frozenset(f"{VALUE_SETS}/{path.name}" for path in found)
