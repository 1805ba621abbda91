"""Laboratory results: an Observation, or one of its components, becomes a LabResult or is reported as not used.

An amended or corrected result takes the place of the earlier one that it corrects (6.1): one with the same identifier,
or of the same specimen at the same moment. (The same id is settled before anything is read: `reader.distinct`.)
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from datetime import date
from decimal import Decimal

from ..clinical.record import Age, LabResult, Measured, Unmapped, UnreadResult
from ..content.codes import CodeUse, name_of
from . import reasons
from .concepts import NO, YES, Matches, answer, concepts, interpreted, texts
from .dates import When
from .reading import Reading, Test, reference_of, status_of
from .resources import Coding, Component, Resource, listed
from .values import NO_RANGE, Amount, amount_of, digits, flag_of, other_specimen, range_of

COUNTS = {"final": False, "amended": False, "corrected": False, "preliminary": True}  # status -> preliminary?
OUTCOMES = frozenset(("intrinsic-factor-antibody", "parietal-cell-antibody", "coeliac-antibody"))
B12, ACTIVE_B12 = "b12", "active-b12"
IN_FUTURE = "in-future"  # a doubt: a key of messages.toml [doubt]
DECIDING = ("b12", "active-b12", "mma", "homocysteine")
NOT_SERUM = re.compile(r"urin|ratio|creat|csf|spinal|amnio|spot|antibod|defici|folate|folic")
NOT_B12 = re.compile(  # with one of these the text is about more than the total B12 in serum, or about something else
    r"folate|folic|active|holo|binding|urin|absorption|schilling|ratio|intake|dose|antibod|defici"
)


def test_in(matches: Matches, reading: Reading) -> tuple[Test | None, str]:
    """The laboratory test among the matches, or the reason why it cannot be named; (None, "") if there is none."""
    found: tuple[CodeUse, Coding] | None = None
    alike = False
    for use, coding in matches:
        if use.concept.startswith("lab-"):
            if found is None:
                found = use, coding
            elif found[0].concept != use.concept:
                return None, reasons.TWO_TESTS
        elif use.concept.startswith("other-"):
            alike = True
    if alike:
        return None, reasons.ANOTHER_TEST
    if found is None:
        return None, ""
    use, coding = found
    analyte = reading.analytes.get(use.concept.removeprefix("lab-"))
    if analyte is None:
        return None, ""
    return Test(analyte, use.use, name_of(coding.system or "", coding.code or ""), ""), ""


# Names of tests whose results count only with a code: without one they are reported as not used.
NAMES = {
    "red-cell-folate": r"\b(red (blood )?cells?|rbc|erythrocytes?|whole blood)\b.{0,12}folate|folate.{0,12}\b(red|rbc)",
    "folate": r"\bfolate\b|\bfolic acid\b|\bfoliumzuur\b|\bfols[aä]ure\b",
    "haemoglobin": r"\bha?emoglobine?\b|\bhgb\b|\bhb\b",
    "neutrophils": r"\bneutrophils?\b|\bneuts?\b",
    "platelets": r"\bplatelets?\b|\bplts?\b|\bthrombocyt",
    "reticulocytes": r"\breticulocyt|\bretics?\b",
    "ferritin": r"\bferritine?\b",
    "creatinine": r"\bcreatinine?\b|\bkreatinine?\b",
    "egfr": r"\be-?gfr\b|glomerular filtration",
    "potassium": r"\bpotassium\b|\bkalium\b",
    "magnesium": r"\bmagnesium\b",
}
PATTERNS = {analyte: re.compile(pattern) for analyte, pattern in NAMES.items()}
ANY_NAME = re.compile("|".join(NAMES.values()))
LONGEST_NAME = 300
ANOTHER = re.compile(  # another specimen, another quantity, or a test that has the name of ours in its own
    r"\burin|\bcsf\b|cerebrospinal|\bfluid\b|stool|fa?eces|fa?ecal|sweat|saliva|\bcord\b|dried blood|\b24 ?h|amniotic|"
    r"\bratio\b|\bindex\b|clearance|excretion|excreted|absorption|binding|saturat|intake|\bdose\b|challenge|post.?load|"
    r"\ba1c|glycated|glycosyl|\bfree\b|f[oe]?etal|carboxy|oxyha?em|methha?em|electrophor|variant|\bhb ?[acefhs]\b|"
    r"mean (cell|corpuscular) ha?emoglobin|corpuscular ha?emoglobin|\bmchc?\b|mean platelet|\bmpv\b|\bpdw\b|"
    r"platelet (antibod|aggreg|function|distribution|volume)|width|kinase|chloride|citrate|"
    r"ha?emoglobin content|reticulocyte ha?emoglobin|immature|antibod(y|ies) to platelet|comment|request|not done|"
    r"\b(ur|urn|ua|fld|bld gas|bpu|pheresis)\b|dip.?stick|\bstrip\b|occult|pleural|periton|synovial|ascit|vitreous|"
    r"hydroxide|\bkoh\b|permanganate|iodide|bicarbonate|gluconate|\bprep\b|smear|stain|transfus|cross.?match|donor"
)


def names_in(plain: str) -> tuple[str, ...]:
    """Analytes that a text in lower case names by the patterns above; what is in the red cells is not also in serum."""
    found = [analyte for analyte, pattern in PATTERNS.items() if pattern.search(plain)]
    return tuple(found[:1] if found[:1] == ["red-cell-folate"] else found)


def is_named(text: str) -> bool:
    """Does a text name one of our tests by these patterns, and no other?"""
    plain = text[:LONGEST_NAME].casefold()
    return bool(ANY_NAME.search(plain)) and not ANOTHER.search(plain)


def test_by_words(text: str, names: tuple[str, ...], reading: Reading) -> Test | None:
    """A B12, total or active, of which only the name is known: it counts, in doubt. None for any other test."""
    for name, other in ((B12, NOT_B12), (ACTIVE_B12, NOT_SERUM)):
        if name in names and name in reading.analytes and not other.search(text.casefold()):
            return Test(reading.analytes[name], "", "", "words-only")
    return None


def looks_like(text: str, names: tuple[str, ...]) -> str:
    """The analyte that decides and that the text names, and no other; "" if it is about another fluid or share."""
    if len(names) != 1 or names[0] not in DECIDING:
        return ""
    other = NOT_B12 if names[0] == B12 else NOT_SERUM
    return "" if other.search(text.casefold()) else names[0]


def unmapped(source: Resource | Component, holder: Resource, name: str, reading: Reading) -> Unmapped | None:
    """The code under which such a result came, and what its unit promises; None if it came without any code."""
    codings = [each for concept in concepts(source.code) for each in listed(concept.coding) if each.code]
    if not codings or name not in reading.analytes:
        return None
    coding = next((each for each in codings if each.system), codings[0])
    analyte, use = reading.analytes[name], ""
    if {"mass", "molar"} <= analyte.bases.keys():
        unit = amount_of(source, analyte, reading)[3]
        use = unit.family if unit is not None else "either"
    code = coding.code or ""
    display = coding.display or next(iter(texts(source.code)), "") or code
    return Unmapped(reference_of(holder), name, coding.system or "", code, display, use)


def read_result(source: Resource | Component, holder: Resource, test: Test, reading: Reading) -> None:
    """Check what is common to all results (status, date, specimen), then read the value."""
    status = holder.status or ""
    preliminary = COUNTS.get(status)
    if preliminary is None:
        status = status_of(holder)
        preliminary = COUNTS.get(status)
    when = taken(holder, reading)
    reason = ""
    if preliminary is None:
        reason = reasons.of_status(status)
    elif holder.specimen is not None and (specimen := other_specimen(holder, reading)):
        reason = reasons.of_specimen(specimen)
    if reason or preliminary is None:
        reading.ignore(reference_of(holder), reason)
        return
    if when is not None and when.first > reading.today:  # nobody knows when it was taken: in doubt, and said
        when, test = None, test._replace(doubt=IN_FUTURE)
    unread = UnreadLab(source, holder, test, reading, when=when, preliminary=preliminary)
    found = unread if unread.is_usual else unread.result()
    if found is not None:
        reading.labs.append(found)
        reading.lab_sources.append(holder)
        if status != "final" and not preliminary:
            reading.corrected = True


def taken(holder: Resource, reading: Reading) -> When | None:
    """When the sample was taken: effective[x], else issued. A bare date, month or year is completed by an `issued`
    that lies within it, which then orders the results of one day."""
    text = holder.effective_date_time
    when = reading.calendar.read(text) if text is not None else None
    if when is not None and when.timed:  # nearly always
        return when
    when = sampled(holder, reading)
    if (when is not None and when.timed) or holder.issued is None:
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


class UnreadLab:
    """A laboratory result of which the value is not read yet. Most never are: the newest of each test decide."""

    __slots__ = ("reference", "analyte", "date", "moment", "age", "preliminary", "_source", "_test", "_reading")

    def __init__(
        self,
        source: Resource | Component,
        holder: Resource,
        test: Test,
        reading: Reading,
        *,
        when: When | None,
        preliminary: bool,
    ) -> None:
        self.reference = f"Observation/{holder.id}" if holder.id else ""
        self.analyte = test.analyte.id
        self.date = None if when is None else reading.calendar.day_of_result(when)
        self.moment = 0.0 if self.date is None or when is None else when.seconds
        self.age: Age = self.date or date.min, self.moment, self.reference
        self.preliminary = preliminary
        self._source, self._test, self._reading = source, test, reading

    @property
    def is_usual(self) -> bool:
        """Is it a number, of a test whose result is a number? Then nothing about its value can be worth a report."""
        quantity = self._source.value_quantity
        return (
            quantity is not None
            and quantity.value is not None
            and digits(quantity.value) != ""
            and self.analyte not in OUTCOMES
        )

    def read(self) -> LabResult:
        """The result in full; one that no reader foresaw is in doubt."""
        try:
            found = self.result()
        except (ValueError, ArithmeticError):
            found = None
        if found is None:
            return LabResult(self.reference, self.analyte, self.date, self.moment, self.preliminary, doubt="no-number")
        return found

    def result(self) -> LabResult | None:
        """The result in full; None, and reported, where a qualitative test says neither positive nor negative."""
        analyte, kind, code, doubt = self._test
        source, reading = self._source, self._reading
        amount = value, number, comparator, unit, amount_doubt = amount_of(source, analyte, reading)
        low, high = NO_RANGE
        if source.reference_range is not None:
            low, high = range_of(source.reference_range, source.value_quantity, unit, analyte, reading)
        outcome = ""
        if analyte.id in OUTCOMES:
            outcome = outcome_of(source, amount, high, reading)
            if not outcome:
                reading.ignore(self.reference, reasons.NO_OUTCOME)
                return None
        elif amount_doubt or doubt or (unit is not None and kind != unit.family and kind in ("mass", "molar")):
            doubt = doubt or amount_doubt or kind_doubt(self._test, amount, reading)
            if amount_doubt == "number-unreadable":
                reading.ignore(self.reference, reasons.NUMBER)
        if unit is None:
            low, high = NO_RANGE
        made = LabResult if value is None or unit is None or self.date is None else Measured
        return made(
            self.reference,
            self.analyte,
            self.date,
            self.moment,
            self.preliminary,
            value,
            number,
            comparator,
            unit.spelling if unit else "",
            low,
            high,
            "" if source.interpretation is None else flag_of(source.interpretation),
            outcome,
            kind,
            doubt,
            code,
        )


def read_in_full(result: LabResult | UnreadResult) -> LabResult:
    """The result with its value."""
    return result if isinstance(result, LabResult) else result.read()


def kind_doubt(test: Test, amount: Amount, reading: Reading) -> str:
    """ "wrong-kind": the code promises a mass and the unit is molar, or the reverse, unless a site has settled it."""
    unit = amount[3]
    settled = unit is not None and f"{test.code}|{unit.spelling}" in reading.site_limits
    return "" if settled else "wrong-kind"


def outcome_of(source: Resource | Component, amount: Amount, high: Decimal | None, reading: Reading) -> str:
    """Positive or negative: as coded, as written, as the laboratory interprets it, or a number against its range."""
    said = answer(source, reading.codes) if source.value_quantity is None and source.value_integer is None else ""
    said = said or interpreted(source, reading.codes)
    if said in (YES, NO):
        return "positive" if said == YES else "negative"
    value, _, comparator, _, _ = amount
    if value is None or high is None:
        return ""
    if comparator in (">", ">="):
        return "positive" if value >= high else ""
    if comparator in ("<", "<="):
        return "negative" if value <= high else ""
    return "positive" if value > high else "negative"


CORRECTED = ("amended", "corrected")


def apply_corrections(reading: Reading) -> None:
    """Take out, and report, the results that a correction has replaced."""
    if not reading.corrected:
        return
    groups: dict[Hashable, list[int]] = {}
    for position, (lab, source) in enumerate(zip(reading.labs, reading.lab_sources, strict=True)):
        for key in same_result_keys(lab, source, reading):
            groups.setdefault(key, []).append(position)
    replaced: set[int] = set()
    for group in groups.values():
        if len(group) > 1:
            replaced.update(replaced_in(group, reading))
    for position in sorted(replaced):
        reading.ignore(reading.labs[position].reference, reasons.REPLACED)
    reading.labs = [lab for position, lab in enumerate(reading.labs) if position not in replaced]


def same_result_keys(lab: LabResult | UnreadResult, source: Resource, reading: Reading) -> Iterator[Hashable]:
    """What two versions of one result have in common: any of these."""
    for identifier in listed(source.identifier):
        if identifier.value:
            yield "identifier", lab.analyte, identifier.system, identifier.value
    when = sampled(source, reading)
    specimens = frozenset(each.reference or each.display or "" for each in listed(source.specimen)) - {""}
    if specimens or (when is not None and when.timed):  # a bare date is not a moment
        yield "specimen", lab.analyte, specimens, when.seconds if when else None


def replaced_in(group: list[int], reading: Reading) -> Iterator[int]:
    """Everything in the group that is not later than its newest correction, and not part of the same resource."""
    sources = reading.lab_sources
    corrections = [position for position in group if status_of(sources[position]) in CORRECTED]
    if not corrections:
        return
    newest = max(corrections, key=lambda position: version(sources[position], reading))
    for position in group:
        if sources[position] is sources[newest]:
            continue
        if position in corrections or not is_later(sources[position], sources[newest], reading):
            yield position


def version(source: Resource, reading: Reading) -> tuple[float, float, str]:
    """Orders the corrections of one result; what is not said came first."""
    taken, issued = (when if when is not None else float("-inf") for when in moments(source, reading))
    return taken, issued, source.id or ""


def is_later(source: Resource, correction: Resource, reading: Reading) -> bool:
    """Was it taken or issued after the correction, as far as both say?"""
    pairs = zip(moments(source, reading), moments(correction, reading), strict=True)
    return any(mine is not None and its is not None and mine > its for mine, its in pairs)


def moments(source: Resource, reading: Reading) -> tuple[float | None, float | None]:
    """When the sample was taken, and when the result was issued."""
    taken, issued = sampled(source, reading), reading.calendar.read(source.issued)
    return taken.seconds if taken else None, issued.seconds if issued else None
