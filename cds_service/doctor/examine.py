"""The examination: the questions that a person has before go-live, one after the other. Read this first.

What does the server say of itself; which patients can it be tried with; how long does a call take; does it answer
each template; does it use each parameter; what does it give by category; which codes and units are there, and which
of them are not mapped?
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path

from ..content.files import VALUE_SETS
from ..evaluate import Service
from .access import NoServer, Server
from .capability import Capability, read_capability
from .categories import Category, try_categories
from .effects import Effect, try_parameters
from .overlay import Lines, Overlay, code_lines, code_questions, in_files
from .patients import Sample, choose_patients
from .survey import Survey
from .timing import Timing, time_calls
from .trials import Trial, try_templates
from .unit_lines import unit_faults, unit_lines, unit_questions, unit_remarks
from .verdict import Fit, Verdict, doubts_of, fit_of, verdict_of

QUESTIONS = 8
UNITS_FILE = "analytes.toml"
ASKED_401 = "the FHIR server asks for a token: give one (--token-file, or CDS_FHIR_TOKEN)"
REFUSED_401 = "the FHIR server does not accept the token"
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Request:
    """What is examined, and with what: the service as it would run there."""

    service: Service
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


def examine(server: Server, request: Request, now: datetime, tell: Tell) -> Examination:
    """Ask everything. `tell` hears what is asked next, QUESTIONS times. Raises NoServer."""
    content = request.service.content
    published = content.prefetch["full"]  # the minimal set is a part of it
    tell("what the server says of itself")
    capability = read_capability(server)
    tell("which patients it shows")
    sample = sample_of(server, request)
    tell("how long a call takes")
    timings = [timed(server, request, name, sample, now) for name in request.timed_sets]
    tell("each prefetch template")
    tried = try_templates(server, published, capability, sample.ids)
    tell("each search parameter")
    effects = try_parameters(server, published, tried.gathered)
    tell("each category")
    categories = try_categories(server, sample.ids)
    tell("codes and units of laboratory results")
    survey = Survey(server, request.service, day_of(request, now), sample.ids)
    survey.gathered(tried.gathered.values())
    survey.laboratory(published)
    tell("codes of medicines")
    survey.all_medicines()
    fits = {name: fit_of(keys, tried.trials, len(sample.ids)) for name, keys in content.prefetch.items()}
    verdict = verdict_of(capability, fits, doubts_of(effects, categories, survey.labs), content.messages)
    overlay, remarks = unmapped_of(survey, request, day_of(request, now))
    remarks = [*capability.remarks, *remarks]
    return Examination(
        capability, sample, verdict, fits, tried.trials, effects, categories, timings, survey, overlay, remarks
    )


def sample_of(server: Server, request: Request) -> Sample:
    """Patients to try the server with. Raises NoServer where it gives nothing at all for want of a token."""
    sample = choose_patients(server, request.service.content.prefetch["full"], request.patients)
    if sample.refused:
        raise NoServer(f"{server.base.url}: {REFUSED_401 if request.has_token else ASKED_401}")
    return sample


def timed(server: Server, request: Request, name: str, sample: Sample, now: datetime) -> Timing:
    """Calls with this prefetch set."""
    return time_calls(server, name, with_set(request.service, name), sample.ids, now, request.call_seconds)


def day_of(request: Request, now: datetime) -> date:
    """The calendar day where the service stands."""
    return now.astimezone(request.service.zone).date()


def with_set(service: Service, name: str) -> Service:
    """The service as it is when this prefetch set is published."""
    return replace(service, templates=service.content.prefetch[name])


def unmapped_of(survey: Survey, request: Request, today: date) -> tuple[Overlay, list[str]]:
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
    if survey.unreadable:
        remarks.append(f"{survey.unreadable} resources could not be read.")
    return Overlay(files, codes, questions), remarks


def present_in(site: Path | None) -> frozenset[str]:
    """The value sets that the site's folder has already."""
    found: Iterable[Path] = [] if site is None else (site / VALUE_SETS).glob("*.csv")
    return frozenset(f"{VALUE_SETS}/{path.name}" for path in found)
