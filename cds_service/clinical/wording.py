"""The values that a card may show: numbers as reported, days, and our own displays. Never free text from the record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal

from .bands import BOUNDS, doubt
from .case import Case, quantity
from .course import Interval
from .monitoring import answered_result, deficient_on_treatment
from .ordered import begun_days
from .record import DOSES_STAND_IN, MEDICINES_STAND_IN, SIGNS_STAND_IN, LabResult

MOST_LISTED = 3
MAY_BE_EMPTY = ("loading_question",)

PHRASE_VALUES: dict[str, tuple[str, ...]] = {  # the phrases of messages.toml that show values, and which
    key: tuple(values.split())
    for values, keys in (
        ("date", "since b12-begun evidence.injection evidence.injections-ordered evidence.by-mouth-until "
                 "evidence.b12-begun"),
        ("n", "and-more evidence.doses interval.days interval.weeks interval.months loading.one loading.doses "
              "loading.days"),
        ("n total", "loading.part"),
        ("day month year", "date.day"),
        ("month year", "date.month"),
        ("what date", "evidence.on-day"),
        ("low high unit", "evidence.range"),
        ("low unit", "evidence.range-from"),
        ("age", "evidence.aged"),
        ("earlier", "no-symptoms-earlier"),
        ("drafts", "further-suggestions task.drafts"),
        ("label", "label-in-a-list"),
        ("order", "remove replace.delete"),
        ("order date", "accepted-earlier"),
        ("order regimen", "replace.update replace.create"),
        ("b12 b12_name", "folate.deficient folate.grey folate.unknown"),
        ("medicine", "oral.no-dose"),
        ("platelets", "overdue.platelets-first"),
        ("medicine n", "oral.micrograms oral.mg"),
    )
    for key in keys.split()
}  # fmt: skip

LONGEST: dict[str, str] = {
    "b12": ">=1234567.89 pmol/L",
    "b12_name": "Active B12",
    "b12_kind": "active B12",
    "b12_date": "30 Sep 2026",
    "b12_limits": "180 to 350 pmol/L",
    "b12_threshold": "180 pmol/L",
    "b12_other": "active B12 >=1234.56 pmol/L on 30 Sep 2026",
    "b12_earlier": "active B12 >=1234.56 pmol/L on 30 Sep 2026",
    "old_b12": "active B12 >=1234.56 pmol/L",
    "old_b12_date": "30 Sep 2026",
    "b12_range": "from 123.45 to 1234.56 pmol/L",
    "marker": "homocysteine >=1234.5 nmol/L",
    "marker_date": "30 Sep 2026",
    "marker_limit": "1234.56 nmol/L",
    "dismissed": "",  # a summary: what then is too long is shortened, and stands whole in the text
    "dismissed_on": "30 Sep 2026",
    "regimens": "",
    "today": "draw blood and refer today; allergy to B12 or cobalt is recorded",  # set with the regimens: advice.py
    "differences": "",
    "fitting": "",
    "ordered": "hydroxocobalamin, cyanocobalamin, phenobarbital and 9 more",
    "ordered_b12": "hydroxocobalamin, cyanocobalamin, mecobalamin and 9 more",
    "ordered_box2": "metformin, esomeprazole, phenobarbital and 9 more",
    "mma": ">=1234567.8 nmol/L",
    "mma_date": "30 Sep 2026",
    "mma_limit": "1234.56 nmol/L",
    "homocysteine": ">=123.45 umol/L",
    "homocysteine_date": "30 Sep 2026",
    "hb": "<=123.4 g/L",
    "mcv": "<=123.4 fL",
    "neutrophils": "<=12.34 10*9/L",
    "platelets": "<=1234 10*9/L",
    "potassium": "<=12.34 mmol/L",
    "egfr": ">=123.4 mL/min/1.73 m2",
    "doubt": "the number and the unit cannot belong together and need the laboratory",
    "symptoms": "impaired proprioception (30 Sep 2026), impaired balance (undated), numbness (30 Sep 2026) and 9 more",
    "risks": "abdominal or pelvic radiotherapy (30 Sep 2026), autoimmune thyroid disease (30 Sep 2026), metformin",
    "lasting_risks": "aged 76, metformin (since 30 Sep 2026), total gastrectomy (30 Sep 2026) and 9 more",
    "signs": "impaired proprioception (30 Sep 2026), impaired balance (undated), numbness (30 Sep 2026) and 9 more",
    "allergies": "hypersensitivity to a cobalamin, allergy to cobalt",
    "b12_first": "begun 30 Sep 2026",
    "folate_from": "24 hours after its first dose",
    "undated_medicines": "metformin, esomeprazole, phenobarbital and 9 more",
    "causes": "resection of the terminal ileum (30 Sep 2026), total gastrectomy (30 Sep 2026), pernicious anaemia",
    "recognised_causes": "alcohol dependence (30 Sep 2026), HIV infection (30 Sep 2026), aminosalicylate",
    "medicines": "metformin (since 30 Sep 2026), esomeprazole (start not recorded), phenobarbital and 9 more",
    "injection_date": "30 Sep 2026",
    "unjudged": "platelets 1234 10*9/L on 30 Sep 2026 (the number is implausibly low for its unit) and 9 more",
    "hb_action": "assess or admit today; potassium before B12",
    "folic": "Folic acid 5000 micrograms",
    "b12_state": "150 ng/L (deficient)",
    "low_b12": "total B12 123.45 pmol/L",
    "low_b12_date": "30 Sep 2026",
    "order_date": "30 Sep 2026",
    "standing_order": "B12 injections ordered, 30 Sep 2026",
    "gastritis_signs": "atrophic gastritis (30 Sep 2026), anaemia, large red cells",
    "first_dose": "30 Sep 2026",
    "course_start": "30 Sep 2026",
    "dose_count": "12",
    "loading_doses": "4 of 6 doses",
    "loading_question": ": had improvement stopped?",
    "folate_b12": ", and active B12 is 130.55 pmol/L (uncertain): B12 first or together with it",
    "oral_verdict": "and a positive intrinsic factor antibody: are injections needed?",
    "due": "30 Sep 2026",
    "interval": "2 to 3 months",
    "give": "ask haematology first",
    "give_first": "Ask haematology first: platelets <=1234 10*9/L",
    "since_dose": "impaired proprioception (30 Sep 2026)",
    "macro_causes": "alcohol dependence (30 Sep 2026), hydroxycarbamide",
    "new_signs": "impaired proprioception (30 Sep 2026)",
    "oral_now": "cyanocobalamin 50 micrograms a day by mouth",
    "absorption": "resection of the terminal ileum (30 Sep 2026)",
    "ended": "B12 injection on 30 Sep 2026",
    "answered": "active B12 >=1234.56 pmol/L on 30 Sep 2026",
    "coded": "B12 deficiency (30 Sep 2026)",
    "resection": "gastrectomy (30 Sep 2026)",
    "ferritin": "<=12.34 ug/L",
    "cause_named": "diabetic neuropathy (30 Sep 2026)",
    "short_medicines": "metformin (since 30 Sep 2026)",
    "stomach": "weight loss (30 Sep 2026)",
    "missing": "blood count, conditions, pregnancy and symptoms, medication statements, prescriptions",
}  # fmt: skip


BLOOD = {
    "hb": "haemoglobin", "egfr": "egfr", "mcv": "mcv", "neutrophils": "neutrophils", "platelets": "platelets",
    "potassium": "potassium", "ferritin": "ferritin",
}  # fmt: skip
# The prefetch keys in which that stands which a placeholder shows; of a result its analyte says it.
CAUSES_STAND_IN = frozenset({"conditions", "procedures"}) | MEDICINES_STAND_IN
STANDS_IN = {
    "symptoms": SIGNS_STAND_IN, "signs": SIGNS_STAND_IN, "since_dose": SIGNS_STAND_IN,
    "risks": CAUSES_STAND_IN, "lasting_risks": CAUSES_STAND_IN, "recognised_causes": CAUSES_STAND_IN,
    "macro_causes": CAUSES_STAND_IN - {"procedures"}, "medicines": MEDICINES_STAND_IN,
    "injection_date": DOSES_STAND_IN, "ended": DOSES_STAND_IN | MEDICINES_STAND_IN,
}  # fmt: skip
LISTS: dict[str, tuple[str, ...]] = {  # the findings whose evidence a placeholder lists
    "symptoms": ("symptoms",),
    "medicines": ("box2_medicine",),
    "missing": ("record_incomplete",),
    "unjudged": ("results_unjudged",),
    "ordered_b12": ("cobalamin_ordered",),
    "ordered_box2": ("box2_ordered",),
    "risks": ("risk_factor",),
    "lasting_risks": ("lasting_risk",),
    "recognised_causes": ("recognised_cause",),
    "causes": ("cause_known",),
    "allergies": ("cobalamin_hypersensitivity", "cobalt_allergy"),
    "undated_medicines": ("durations_unknown",),
    "since_dose": ("symptoms_since_dose",),
    "macro_causes": ("macro_other",),
    "new_signs": ("new_symptoms",),
    "oral_now": ("on_oral",),
    "absorption": ("malabsorption", "bariatric", "aig_suspected"),
    "ended": ("treatment_ended",),
    "coded": ("coded", "ifab_positive"),
    "resection": ("resection",),
    "cause_named": ("neuro_possible",),
    "short_medicines": ("short_medicine",),
    "stomach": ("stomach_signs", "stomach_iron"),
    "standing_order": ("injection_order",),
}


class Values(dict[str, str]):
    """Every placeholder with its value; what is not there reads "not recorded".

    A card names some ten of them, so each is worked out when a text first asks for it.
    """

    __slots__ = ("_base", "_case", "_groups")

    def __init__(self, case: Case, base: Values | None = None, **given: str) -> None:
        super().__init__(given)
        self._case, self._base = case, base
        self._groups: dict[Callable[[Case], dict[str, str]], dict[str, str]] = {}

    def also(self, **given: str) -> Values:
        """These values, and the given ones in the place of those of the same name."""
        return Values(self._case, self, **given)

    def __missing__(self, name: str) -> str:
        value = self._base[name] if self._base is not None else self._work_out(name)
        self[name] = value
        return value

    def _work_out(self, name: str) -> str:
        case = self._case
        value = "" if name == "symptoms" and not case.has("symptoms") else self._of(name)
        if value or name in MAY_BE_EMPTY:
            return value
        if unread := not_read(case, name):
            return unread
        if name == "symptoms":
            return no_symptoms(case)
        return case.pathway.messages["nothing" if name == "since_dose" else "not-recorded"]

    def _of(self, name: str) -> str:
        case = self._case
        if name == "missing":  # all of them: one that is only counted would not be named
            return ", ".join(dict.fromkeys(each.text for each in case.joined(LISTS[name])))
        if name in LISTS:
            return listed(case, *LISTS[name])
        if name in BLOOD:
            return shown(case.current(BLOOD[name]))
        for work_out in GROUPS:
            if work_out not in self._groups:
                self._groups[work_out] = work_out(case)
            if name in self._groups[work_out]:
                return self._groups[work_out][name]
        if name not in LONGEST:
            raise KeyError(name)
        return ""


def own_values(case: Case) -> dict[str, str]:
    """The results of analytes for which the content has a limit of its own."""
    found: dict[str, str] = {}
    for analyte in {each.analyte for each in case.pathway.compared}:
        lab = case.newest(analyte, case.pathway.analytes[analyte].current)
        name, day = placeholders(analyte)
        found |= {name: shown(lab), day: case.written(lab.date) if lab else ""}
    return found


def record_values(case: Case) -> dict[str, str]:
    """What is ordered in this call, the signs that are no result, and the last injection."""
    blood = case.found.get("blood", ())
    ordered = dict.fromkeys(case.display(each.ingredient) for each in case.record.selected if each.ingredient)
    return {
        "gastritis_signs": gastritis_signs(case),
        "ordered": ", ".join(ordered),
        "signs": joined(case, [each.text for each in case.found.get("symptoms", ()) if each not in blood]),
        "injection_date": case.written(case.course.last) if case.course.last else "",
    }


def not_read(case: Case, name: str) -> str:
    """That the part of the record in which a value would stand was not read, or not in full; "" where it was: what was
    not read is not said to be missing."""
    analyte = case.pathway.analytes.get(BLOOD.get(name, name.replace("_", "-")))
    keys = STANDS_IN.get(name) or frozenset({analyte.prefetch} if analyte else ())
    record, words = case.record, case.pathway.messages
    asked = keys & record.published
    if keys and record.published and not asked:
        return words["not-asked-for"]
    unread = record.unread(asked - MEDICINES_STAND_IN) | (record.medicines_unread() & asked)
    if not unread:
        return ""
    return words["not-read" if asked <= record.unavailable else "not-read-in-full"]


def no_symptoms(case: Case) -> str:
    """That none is recorded of late, and which are older."""
    words = case.pathway.messages
    earlier = listed(case, "earlier_symptoms")
    return words["no-symptoms-earlier"].format(earlier=earlier) if earlier else words["no-symptoms"]


def placeholders(analyte: str) -> tuple[str, str]:
    """The placeholders of an analyte for which the content has a limit of its own: its result, and the day of it."""
    name = analyte.replace("-", "_")
    return name, f"{name}_date"


def shown(lab: LabResult | None) -> str:
    return quantity(lab) if lab else ""


def b12_values(case: Case) -> dict[str, str]:
    """The result that drives, the others measured with it, and what is wrong with one in doubt."""
    found = {"b12_name": case.pathway.messages["name.b12"]}
    if case.b12:
        lab = case.b12
        found |= {
            "b12_name": case.pathway.messages[f"name.{lab.analyte}"],
            "b12": quantity(lab),
            "b12_kind": case.display(lab.analyte),
            "b12_date": case.written(lab.date),
            "b12_limits": grey_band(case, lab),
            "b12_threshold": threshold(case, lab),
            "b12_range": own_range(case, lab),
        }
    for name, beside in (("b12_other", case.b12_other), ("b12_earlier", case.b12_earlier)):
        if beside:
            found[name] = case.on_day(case.reported(beside), beside.date)
    if case.old_b12:
        found |= {"old_b12": case.reported(case.old_b12), "old_b12_date": case.written(case.old_b12.date)}
    if case.doubtful_b12:
        found["doubt"] = case.pathway.messages[f"doubt.{doubt(case, case.doubtful_b12) or 'pending'}"]
    return found


def gastritis_signs(case: Case) -> str:
    """For what autoimmune gastritis is suspected: the diagnosis, or what of the blood count it rests on."""
    rests_on = {each.reference for each in case.joined(("aig_until_disproved",))}
    blood = [
        case.pathway.messages[f"gastritis.{key}"]
        for key, finding in (("anaemia", "anaemia_not_iron"), ("macrocytosis", "macrocytosis"))
        if rests_on & {each.reference for each in case.joined((finding,))}
    ]
    return joined(case, [each.text for each in case.joined(("aig_suspected",))] + blood)


def grey_band(case: Case, lab: LabResult) -> str:
    """The grey band in the unit that was reported."""
    if not lab.unit:
        return ""
    family, factor = case.base_of(lab, Decimal(1))
    low, high = (decimal_text(case.limits[name] / factor) for name in BOUNDS[lab.analyte, family])
    return case.words("range", low=low, high=high, unit=lab.unit)


def threshold(case: Case, lab: LabResult) -> str:
    """The limit below which the result is deficient, in the unit that was reported."""
    if not lab.unit:
        return ""
    family, factor = case.base_of(lab, Decimal(1))
    return f"{decimal_text(case.limits[BOUNDS[lab.analyte, family][0]] / factor)} {lab.unit}"


def sentence(text: str) -> str:
    """A text that begins as a sentence does; a name such as eGFR keeps its letters."""
    return text[:1].upper() + text[1:] if text[1:2].islower() else text


def decimal_text(number: Decimal) -> str:
    """A number without exponent or trailing zeros."""
    return f"{number.normalize():f}"


def own_range(case: Case, lab: LabResult) -> str:
    """The laboratory's own range of a result."""
    if lab.low is None or lab.high is None:
        return case.words("range-from", low=decimal_text(lab.low), unit=lab.unit) if lab.low is not None else ""
    return case.words("range", low=decimal_text(lab.low), high=decimal_text(lab.high), unit=lab.unit)


def marker_values(case: Case) -> dict[str, str]:
    """MMA and homocysteine as reported, the limit that was used, and the one of them that counts as `marker`."""
    found: dict[str, str] = {}
    # MMA is the one that counts. Only with nitrous oxide does a raised homocysteine suffice without a raised MMA.
    suffices = case.has("nitrous_oxide") and case.has("homocysteine_raised") and not case.has("mma_raised")
    for name, lab, default in (
        ("homocysteine", case.homocysteine, "homocysteine-upper"),
        ("mma", case.mma, "mma-upper"),
    ):
        if not lab:
            continue
        limit = f"{decimal_text(lab.high)} {lab.unit}" if lab.high is not None else default_limit(case, default, lab)
        found |= {name: quantity(lab), f"{name}_date": case.written(lab.date)}
        if name == "mma":
            found["mma_limit"] = limit
        if name == "homocysteine" or not suffices:
            found |= {"marker": case.reported(lab), "marker_date": case.written(lab.date), "marker_limit": limit}
    return found


def default_limit(case: Case, name: str, lab: LabResult) -> str:
    """The pathway's own upper limit, in the unit of the result where that is of the same kind."""
    family, factor = case.base_of(lab, Decimal(1))
    if family == "molar":
        return f"{decimal_text(case.limits[name] / factor)} {lab.unit}"
    return f"{decimal_text(case.limits[name])} {case.pathway.thresholds[name].unit}"


def course_values(case: Case) -> dict[str, str]:
    """The course of B12 treatment: doses, intervals, due date, and what is said of treatment that ended."""
    course, run = case.course, case.course.run
    low = deficient_on_treatment(case) or (case.b12 if case.has("b12_deficient") else None)
    answered, first = answered_result(case), course.first_order
    values = {
        "low_b12": case.reported(low) if low else "",
        "low_b12_date": case.written(low.date) if low else "",
        "order_date": case.written(first.begun) if first and first.begun else "",
        "first_dose": case.written(run.first) if run else "",
        "course_start": case.written(course.start) if course.start else "",
        "dose_count": str(run.count) if run else "",
        "due": case.written(course.due) if course.due else "",
        "interval": interval_in_words(case, course.interval),
        "answered": case.on_day(case.reported(answered), answered.date) if answered else "",
    }
    surely = case.has("must_im_disease", "oral_insufficient")
    values["oral_verdict"] = case.pathway.messages["oral.disease" if surely else "oral.antibody"]
    values["hb_action"] = case.pathway.messages["hb.same-day" if case.has("hb_same_day") else "hb.severe"]
    return values | loading_values(case) | overdue_values(case)


def overdue_values(case: Case) -> dict[str, str]:
    """What an injection that is overdue asks for, in the summary and at the beginning of the text."""
    words = case.pathway.messages
    if not case.has("platelets_below_im"):
        return {"give": words["overdue.give"], "give_first": sentence(words["overdue.give"])}
    platelets = shown(case.current("platelets"))
    first = words["overdue.platelets-first"].format(platelets=platelets)
    return {"give": words["overdue.platelets"], "give_first": first}


def loading_values(case: Case) -> dict[str, str]:
    """How far a loading phase came: "2 of 6 doses"; with neurological signs the doses alone."""
    phase, words = case.loading, case.pathway.messages
    if phase is None:
        return {"loading_question": ""}
    total = case.limits.days("loading-count")
    days = (phase.run.last - phase.run.first).days
    enough = phase.run.count >= total
    if case.has("neuro") and not enough:
        key = "loading.one" if phase.run.count == 1 else "loading.doses"
        return {"loading_doses": words[key].format(n=phase.run.count), "loading_question": ""}
    if enough:
        return {"loading_doses": counted(words, "loading.days", days), "loading_question": words["loading.question"]}
    return {"loading_doses": words["loading.part"].format(n=phase.run.count, total=total), "loading_question": ""}


PLURALS: dict[str, Callable[[int], int]] = {  # which of a phrase's forms ("{n} day | {n} days") goes with a number
    "one-other": lambda n: int(n != 1),
    "none": lambda n: 0,
    "one-few-many": lambda n: 0 if n == 1 else 1 if n % 10 in (2, 3, 4) and n % 100 not in (12, 13, 14) else 2,
}


def counted(words: Mapping[str, str], key: str, n: int, **more: object) -> str:
    """A phrase with a number, in the form that the language has for it."""
    forms = words[key].split(" | ")
    chosen = PLURALS[words.get("plural", "one-other")](n)
    return forms[min(chosen, len(forms) - 1)].format(n=n, **more)


def interval_in_words(case: Case, interval: Interval) -> str:
    """ "12 weeks", "3 months"."""
    words = case.pathway.messages
    if interval.in_months and interval.length == 1:
        return words["interval.month"]
    if interval.in_months:
        return counted(words, "interval.months", interval.length)
    if interval.length % 7 == 0:
        return counted(words, "interval.weeks", interval.length // 7)
    return counted(words, "interval.days", interval.length)


def folate_values(case: Case) -> dict[str, str]:
    """What B12 is where folic acid is given; and if B12 is ordered with it, when it was begun, and from when folic acid
    may follow."""
    words = case.pathway.messages
    band = next((name for name in ("deficient", "grey") if case.has(f"b12_{name}")), "unknown")
    name = words[f"name.{case.b12.analyte}"] if case.b12 else words["name.b12"]
    values = {"folate_b12": words[f"folate.{band}"].format(b12_name=name, b12=shown(case.b12))}
    return values | folate_after_b12(case)


def folate_after_b12(case: Case) -> dict[str, str]:
    """When B12 was begun that is ordered with folic acid, and from when that may follow."""
    if not case.has("folate_order_after_b12"):
        return {}
    words, days = case.pathway.messages, [day for day, _ in begun_days(case)]
    if not days:
        return {"b12_first": words["b12-ordered"], "folate_from": words["folate-later"]}
    begun = words["b12-begun"].format(date=case.written(min(days)))
    return {"b12_first": begun, "folate_from": case.written(min(days) + timedelta(days=1))}


def listed(case: Case, *findings: str) -> str:
    """What made a finding true, in our displays: at most three, then how many more."""
    return joined(case, [each.text for each in case.joined(findings)])


def joined(case: Case, texts: list[str]) -> str:
    """Each text once: at most three, then how many more."""
    texts = [text for text in dict.fromkeys(texts) if text]
    more = len(texts) - MOST_LISTED
    text = ", ".join(texts[:MOST_LISTED])
    return f"{text} {case.pathway.messages['and-more'].format(n=more)}" if more > 0 else text


# Values that belong together, in the order in which a name is looked for
GROUPS: tuple[Callable[[Case], dict[str, str]], ...] = (
    b12_values,
    record_values,
    marker_values,
    course_values,
    folate_values,
    own_values,
)
