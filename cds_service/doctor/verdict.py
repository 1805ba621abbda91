"""Would the service work there, and with which prefetch set? Said in sentences that give the reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..evaluate import REQUIRED
from .capability import Capability
from .categories import Category
from .effects import IGNORED, Effect
from .labs import LabTally
from .trials import Trial

B12 = ("b12", "active-b12")
NOT_NEEDED = ("vital-signs", "survey", "exam")  # nothing that decides stands there
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


def verdict_of(
    capability: Capability, fits: Mapping[str, Fit], doubts: list[str], messages: Mapping[str, str]
) -> Verdict:
    """The verdict over both sets."""
    if not capability.readable:
        told = f"The server speaks FHIR {capability.fhir_version}; the service reads R4 (4.0.1)."
        return Verdict(NO, "", (told,))
    full, minimal = fits["full"], fits["minimal"]
    reasons = [sentence for name, fit in fits.items() if (sentence := about(name, fit, messages))] + doubts
    if minimal.works == NO:
        return Verdict(NO, "", ("The service would not work: data that every answer needs is not had.", *reasons))
    if minimal.works == UNKNOWN:
        told = "It cannot be said whether the service would work: no patient was found to try it with."
        return Verdict(UNKNOWN, "", (told, "Name some, one id a line, with --patients FILE.", *reasons))
    if full.works == YES and not doubts:
        return Verdict(YES, "full", ("The service would work, with the full prefetch set.", *reasons))
    if minimal.works == YES and not doubts:
        told = "The service would work, with the minimal prefetch set (CDS_PREFETCH=minimal)."
        return Verdict(YES, "minimal", (told, *reasons))
    chosen = "minimal" if minimal.works == YES != full.works else "full"
    told = f"The service would work in part, with the {chosen} prefetch set. What stands in the way:"
    return Verdict(PARTLY, chosen, (told, *reasons))


def about(name: str, fit: Fit, messages: Mapping[str, str]) -> str:
    """What a set would lack, in words."""
    parts = [
        f"{what}: {', '.join(named(key, messages) for key in keys)}"
        for what, keys in (
            ("not supported", fit.unsupported),
            ("not answered", fit.failing),
            ("answered in part only", fit.partial),
        )
        if keys
    ]
    return f"With the {name} set, {'; '.join(parts)}." if parts else ""


def named(key: str, messages: Mapping[str, str]) -> str:
    """A prefetch key with what it holds."""
    return f"{key} ({messages[f'prefetch.{key}']})" if f"prefetch.{key}" in messages else key
