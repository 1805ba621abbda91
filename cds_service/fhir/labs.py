"""Laboratory results: an Observation, or one of its components, becomes a LabResult or is reported as not used."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from ..clinical.record import LabResult
from ..clinical.tables import Analyte
from . import reasons
from .answers import NO, YES, answer, interpreted
from .dates import When
from .reading import Reading, reference_of, status_of
from .recognise import Matches
from .resources import Component, Resource
from .specimens import other_specimen
from .values import Amount, amount_of, flag_of, range_of

COUNTS = {"final": False, "amended": False, "corrected": False, "preliminary": True}  # status -> preliminary?
OUTCOMES = frozenset(("intrinsic-factor-antibody", "parietal-cell-antibody", "coeliac-antibody"))
B12 = "b12"
NOT_B12 = frozenset(("active-b12", "folate", "red-cell-folate"))  # named beside it, the text is about more than B12


class Test(NamedTuple):
    """Which test a result is of, as it was recognised."""

    analyte: Analyte
    kind: str  # what the code promises: "mass", "molar" ...
    code: str  # "system|code"
    doubt: str  # "words-only" or ""


def lab_in(matches: Matches, reading: Reading) -> tuple[Test | None, str]:
    """The laboratory test among the matches, or the reason why it cannot be named; (None, "") if there is none."""
    found = coding = None
    alike = False
    for use, each in matches:
        if use.concept.startswith("lab-"):
            if found is None:
                found, coding = use, each
            elif found.concept != use.concept:
                return None, reasons.TWO_TESTS
        elif use.concept.startswith("other-"):
            alike = True
    if alike:
        return None, reasons.ANOTHER_TEST
    analyte = reading.analytes.get(found.concept[4:]) if found is not None else None
    if analyte is None:
        return None, ""
    return Test(analyte, found.use, f"{coding.system}|{coding.code}", ""), ""


def read_lab(source: Resource | Component, holder: Resource, matches: Matches, reading: Reading) -> bool:
    """Read a result that was recognised by its code. False if the matches name no laboratory test."""
    test, reason = lab_in(matches, reading)
    if reason:
        reading.ignore(reference_of(holder), reason)
    elif test is not None:
        add_result(source, holder, test, reading)
    return test is not None or reason != ""


def read_lab_by_words(source: Resource | Component, holder: Resource, names: tuple[str, ...], reading: Reading) -> None:
    """A result of which only the name is known: a B12 is kept, in doubt; any other is reported and not used."""
    if B12 in names and B12 in reading.analytes and NOT_B12.isdisjoint(names):
        add_result(source, holder, Test(reading.analytes[B12], "", "", "words-only"), reading)
    else:
        reading.ignore(reference_of(holder), reasons.WORDS_ONLY)


def add_result(source: Resource | Component, holder: Resource, test: Test, reading: Reading) -> None:
    """Check what is common to all results (status, date, specimen), then read the value."""
    preliminary = COUNTS.get(holder.status)
    if preliminary is None:
        preliminary = COUNTS.get(status_of(holder))
    when = taken(holder, reading)
    reason = ""
    if preliminary is None:
        reason = reasons.of_status(status_of(holder))
    elif when is not None and when.first > reading.today:
        reason = reasons.FUTURE
    elif holder.specimen is not None and (specimen := other_specimen(holder, reading)):
        reason = reasons.of_specimen(specimen)
    if reason:
        reading.ignore(reference_of(holder), reason)
        return
    result = result_of(source, holder, test, preliminary, when, reading)
    if result is not None:
        reading.labs.append(result)
        reading.lab_sources.append(holder)
        if holder.status != "final" and not preliminary:
            reading.corrected = True


def taken(holder: Resource, reading: Reading) -> When | None:
    """When the sample was taken: effective[x], else issued. A bare date, month or year is completed by an `issued`
    that lies within it, which then orders the results of one day."""
    when = sampled(holder, reading)
    if holder.issued is None or (when is not None and when.timed):
        return when
    issued = reading.calendar.read(holder.issued)
    if when is None or issued is None or issued.day is None:
        return when or issued
    return issued if when.first <= issued.day <= when.last else when


def sampled(holder: Resource, reading: Reading) -> When | None:
    """effective[x] alone."""
    read = reading.calendar.read
    if holder.effective_date_time is not None:
        when = read(holder.effective_date_time)
        if when is not None:
            return when
    period = holder.effective_period
    if period is not None:
        return read(period.start) or read(period.end)
    return read(holder.effective_instant)


def result_of(
    source: Resource | Component, holder: Resource, test: Test, preliminary: bool, when: When | None, reading: Reading
) -> LabResult | None:
    """The result itself; None, and reported, where a qualitative test says neither positive nor negative."""
    analyte, kind, code, doubt = test
    amount = amount_of(source, analyte, reading)
    unit = amount.unit
    low, high = range_of(source, amount, analyte, reading)
    outcome = ""
    if analyte.id in OUTCOMES:
        outcome = outcome_of(source, amount, high, reading)
        if not outcome:
            reading.ignore(reference_of(holder), reasons.NO_OUTCOME)
            return None
    else:
        doubt = doubt or amount.doubt or kind_doubt(test, amount, reading)
        if amount.doubt == "number-unreadable":
            reading.ignore(reference_of(holder), reasons.NUMBER)
    if unit is None:
        low = high = None
    return LabResult(
        reference_of(holder),
        analyte.id,
        when.day if when else None,
        when.seconds if when and when.day else 0.0,
        preliminary,
        amount.value,
        amount.number,
        amount.comparator,
        unit.spelling if unit else "",
        low,
        high,
        flag_of(source),
        outcome,
        kind,
        doubt,
        code,
    )


def kind_doubt(test: Test, amount: Amount, reading: Reading) -> str:
    """ "wrong-kind" where the code promises a mass and the unit is molar, or the reverse, and no site settled it."""
    unit = amount.unit
    if unit is None or test.kind not in ("mass", "molar") or unit.family == test.kind:
        return ""
    return "" if f"{test.code}|{unit.spelling}" in reading.site_limits else "wrong-kind"


def outcome_of(source: Resource | Component, amount: Amount, high: Decimal | None, reading: Reading) -> str:
    """Positive or negative: as coded, as written, as the laboratory interprets it, or a number against its range."""
    said = answer(source, reading.codes) if source.value_quantity is None and source.value_integer is None else ""
    said = said or interpreted(source, reading.codes)
    if said in (YES, NO):
        return "positive" if said == YES else "negative"
    if amount.value is None or high is None:
        return ""
    if amount.comparator in (">", ">="):
        return "positive" if amount.value >= high else ""
    if amount.comparator in ("<", "<="):
        return "negative" if amount.value <= high else ""
    return "positive" if amount.value > high else "negative"
