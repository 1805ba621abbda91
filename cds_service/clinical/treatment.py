"""What the patient takes (6.1): any cobalamin, medicines that lower B12, folic acid, the pill. Injections: course.py.

Here too is what of it could not be read, and what must not be given.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from .case import Because, Case
from .course import PARENTERAL, by_mouth_evidence
from .record import DOSES_STAND_IN, MEDICINES_STAND_IN, Medication
from .rules import Found, Rules
from .tables import days_before

WEEKLY = Decimal(6)  # days between doses from which a schedule is weekly: folic acid with methotrexate

RULES = Rules()
finding, step, any_of = RULES.finding, RULES.step, RULES.any_of

RULES.limit("medicine-stopped", "days", "A stopped medicine still counts for")
RULES.limit("nitrous-current", "days", "Recreational nitrous oxide counts for")
RULES.limit("folic-treatment", "microgram/day", "Folic acid is a treatment dose from")
RULES.limit("oral-dose-high", "microgram/day", "B12 by mouth is a high dose from")
RULES.limit("medicine-long", "months", "Another medicine explains a deficiency if taken for longer than")
RULES.limit("metformin-long", "months", "Metformin means high risk if taken for longer than")
RULES.limit("acid-suppressant-long", "months", "An acid suppressant means high risk if taken for longer than")


def ingredient_evidence(case: Case, entries: list[Medication]) -> list[Because]:
    """Each entry by the name of its ingredient."""
    return [Because(entry.reference, case.display(entry.ingredient)) for entry in entries]


@finding(
    "on_oral_high",
    "B12 is taken by mouth in a high dose",
    follows_from="oral",
    limits="oral-dose-high",
)
def on_oral_high(case: Case) -> Found:
    """An unstated dose is not known to be a high one."""
    limit = case.limits["oral-dose-high"]
    return by_mouth_evidence(case, [each for each in case.oral if (each.per_day or each.dose or 0) >= limit])


@finding(
    "oral_low",
    "B12 is taken by mouth in a stated dose that is not a high one",
    follows_from="oral on_oral_high",
    limits="oral-dose-high",
)
def oral_low(case: Case) -> Found:
    limit = case.limits["oral-dose-high"]
    stated = [each for each in case.oral if each.per_day is not None and each.per_day < limit]
    return None if case.has("on_oral_high") else by_mouth_evidence(case, stated)


# --- Any cobalamin, and what must not be given


def in_use(case: Case, entry: Medication) -> bool:
    """In use, or used within the time for which an injection counts."""
    if entry.active:
        return True
    return case.limits.within_days("im-window", entry.end or entry.last or entry.start, case.today)


def cobalamins_in_use(case: Case) -> list[Medication]:
    return [entry for entry in case.medicines("cobalamin") if in_use(case, entry) and not entry.antidote]


@finding("cobalamin_taken", "any medicine that holds B12 is in use", medicines="cobalamin", limits="im-window")
def cobalamin_taken(case: Case) -> Found:
    return ingredient_evidence(case, cobalamins_in_use(case))


@finding("cyanocobalamin_taken", "cyanocobalamin is in use", medicines="cobalamin cyanocobalamin", limits="im-window")
def cyanocobalamin_taken(case: Case) -> Found:
    cyano = case.pathway.groups.get("cyanocobalamin", frozenset())
    return ingredient_evidence(case, [entry for entry in cobalamins_in_use(case) if entry.ingredient in cyano])


@finding(
    "chloramphenicol_with_cobalamin",
    "chloramphenicol is injected while B12 is taken",
    follows_from="cobalamin_taken",
    medicines="chloramphenicol",
)
def chloramphenicol_with_cobalamin(case: Case) -> Found:
    if not case.has("cobalamin_taken"):
        return None
    injected = [each for each in case.medicines("chloramphenicol") if each.active and each.route in PARENTERAL]
    return [Because(each.reference, case.words("chloramphenicol")) for each in injected]


def allergies_to(case: Case, substance: str, key: str) -> list[Because]:
    return [Because(each.reference, case.words(key)) for each in case.record.allergies if each.substance == substance]


@finding("cobalamin_hypersensitivity", "hypersensitivity to a form of B12 is recorded", reads="the allergies")
def cobalamin_hypersensitivity(case: Case) -> Found:
    return allergies_to(case, "cobalamin", "cobalamin-allergy")


@finding("cobalt_allergy", "an allergy to cobalt is recorded", reads="the allergies")
def cobalt_allergy(case: Case) -> Found:
    return allergies_to(case, "cobalt", "cobalt-allergy")


# --- Medicines that lower B12, and others that matter


def exposed(case: Case, entry: Medication) -> bool:
    """Does a medicine that lowers B12 count: in use, or stopped less than the named number of days ago?"""
    stopped = entry.end or entry.last or entry.start
    earliest = days_before(case.today, case.limits.days("medicine-stopped"))
    return entry.active or (stopped is not None and stopped > earliest)


def since(case: Case, entry: Medication) -> str:
    """The medicine and for how long, or that the record does not say."""
    words = case.pathway.messages
    text = words["since"].format(date=case.written(entry.start)) if entry.start else words["start-not-recorded"]
    return f"{case.display(entry.ingredient)} ({text})"


@step("lowering", medicines="box2", limits="medicine-stopped")
def lowering(case: Case) -> bool:
    """The medicines that lower B12 (NG239 Box 2) and count, one entry of each."""
    case.lowering = newest_by_ingredient([entry for entry in case.medicines("box2") if exposed(case, entry)])
    return bool(case.lowering)


def lowering_of(case: Case, *groups: str) -> list[Medication]:
    """Those of them that belong to any of these groups."""
    wanted = [case.pathway.groups[group] for group in groups]
    return [entry for entry in case.lowering if any(entry.ingredient in group for group in wanted)]


def newest_by_ingredient(entries: list[Medication]) -> list[Medication]:
    """One entry per ingredient, the one that gives the earliest start, in the order in which they came.

    Of two that give the same the reference decides: the evidence must not depend on the order of a search's results.
    """
    chosen: dict[str, Medication] = {}
    for entry in entries:
        chosen[entry.ingredient] = min(entry, chosen.get(entry.ingredient, entry), key=first_use)
    return list(chosen.values())


def first_use(entry: Medication) -> tuple[date, str]:
    """Sort key: the earliest start first, one that is not said last."""
    return entry.start or date.max, entry.reference


def with_durations(case: Case, entries: list[Medication]) -> list[Because]:
    return [Because(entry.reference, since(case, entry)) for entry in entries]


@finding(
    "box2_medicine",
    "a medicine that can lower B12 is in use, or was stopped recently",
    follows_from="lowering",
)
def box2_medicine(case: Case) -> Found:
    return with_durations(case, case.lowering)


@finding(
    "durations_unknown",
    "since when a medicine that can lower B12 is taken is not recorded",
    follows_from="lowering",
)
def durations_unknown(case: Case) -> Found:
    return ingredient_evidence(case, [each for each in case.lowering if not each.start])


@finding("metformin", "metformin is in use, or was stopped recently", follows_from="lowering", medicines="metformin")
def metformin(case: Case) -> Found:
    return with_durations(case, lowering_of(case, "metformin"))


@finding(
    "acid_suppressant",
    "a medicine that suppresses gastric acid is in use, or was stopped recently",
    follows_from="lowering",
    medicines="ppi h2ra",
)
def acid_suppressant(case: Case) -> Found:
    return with_durations(case, lowering_of(case, "ppi", "h2ra"))


@finding("pill", "a hormonal contraceptive that lowers total B12 is in use", medicines="pill")
def pill(case: Case) -> Found:
    return ingredient_evidence(case, [entry for entry in case.medicines("pill") if entry.active])


@finding("anticoagulant", "an anticoagulant is in use", medicines="anticoagulant")
def anticoagulant(case: Case) -> Found:
    return ingredient_evidence(case, [entry for entry in case.medicines("anticoagulant") if entry.active])


any_of(
    "muscle_bleeds",
    "an injection into a muscle may bleed: an anticoagulant, or platelets below their limit",
    "anticoagulant",
    "platelets_below_im",
)


@finding(
    "nitrous_oxide",
    "recreational nitrous oxide is recorded, now or recently",
    problems="nitrous",
    limits="nitrous-current",
)
def nitrous_oxide(case: Case) -> Found:
    """Recreational nitrous oxide now or recently. An active problem is now; an observation is as old as its date."""
    found = []
    for problem in case.in_group("nitrous"):
        day = max((day for day in (problem.onset, problem.recorded, problem.end) if day), default=None)
        now = problem.active and (problem.source == "condition" or day is None)
        if now or case.limits.within_days("nitrous-current", day, case.today):
            found.append(problem)
    return [Because(each.reference, case.display(each.concept)) for each in found]


@finding(
    "folate_running",
    "folic acid in a treatment dose (or of unstated dose) is in use",
    medicines="folic",
    limits="folic-treatment",
)
def folate_running(case: Case) -> Found:
    """Folic acid at treatment dose (or of no stated dose) in use. Low and weekly doses are exempt."""
    running = []
    for entry in case.medicines("folic"):
        amount = entry.per_day if entry.per_day is not None else entry.dose
        weekly = entry.interval is not None and entry.interval >= WEEKLY
        treatment = amount is None or amount >= case.limits["folic-treatment"]
        if entry.active and entry.source != "administration" and treatment and not weekly and not entry.multivitamin:
            running.append(entry)
    return ingredient_evidence(case, running)


# --- For how long


def long_use(case: Case, limit: str, groups: tuple[str, ...]) -> tuple[list[Because], bool]:
    """Medicines in use: the evidence, and whether they have been in use, without a gap, for longer than the limit."""
    entries = [entry for group in groups for entry in case.medicines(group)]
    current = [entry for entry in entries if exposed(case, entry)]
    begun = used_since(case, entries, current)
    is_long = begun is not None and case.limits.longer_than_months(limit, begun, case.today)
    if begun is not None and is_long:
        words = case.pathway.messages["since"].format(date=case.written(begun))
    else:
        words = case.pathway.messages["start-not-recorded"]
        current = [entry for entry in current if not entry.start]
    found: dict[str, str] = {}  # of each text the first reference by name, whatever the order of the entries
    for entry in current:
        text = f"{case.display(entry.ingredient)} ({words})"
        found[text] = min(entry.reference, found.get(text, entry.reference))
    return [Because(reference, text) for text, reference in found.items()], is_long


def used_since(case: Case, entries: list[Medication], current: list[Medication]) -> date | None:
    """The first day of the present use: renewals and supplies are one use while no gap counts as having stopped."""
    begun = min((entry.start for entry in current if entry.start), default=None)
    if begun is None:
        return None
    for entry in sorted(entries, key=last_day, reverse=True):
        joined = last_day(entry) > days_before(begun, case.limits.days("medicine-stopped"))
        if joined and entry.start and entry.start < begun:
            begun = entry.start
    return begun


def last_day(entry: Medication) -> date:
    """The last day of use that an entry documents."""
    return entry.end or entry.last or entry.start or date.min


LONG = (("metformin-long", ("metformin",)), ("acid-suppressant-long", ("ppi", "h2ra")))
LONG_LIMITS = "metformin-long acid-suppressant-long medicine-stopped"


@step("long_uses", medicines="metformin ppi h2ra", limits=LONG_LIMITS)
def long_uses(case: Case) -> bool:
    """By its limit each use of a kind of medicine, and whether it is longer than that."""
    case.long_uses = {limit: long_use(case, limit, groups) for limit, groups in LONG}
    return any(because for because, _ in case.long_uses.values())


def by_length(case: Case, long: bool) -> list[Because]:
    return [each for because, is_long in case.long_uses.values() if is_long == long for each in because]


@finding(
    "long_term_medicine",
    "metformin or an acid suppressant is taken for longer than the time that means high risk",
    follows_from="long_uses",
)
def long_term_medicine(case: Case) -> Found:
    return by_length(case, long=True)


@finding(
    "metformin_long",
    "metformin is taken for longer than the time that means high risk",
    medicines="metformin",
    limits="metformin-long medicine-stopped",
)
def metformin_long(case: Case) -> Found:
    because, is_long = long_use(case, *LONG[0])
    return because if is_long else None


@finding(
    "length_unknown",
    "metformin or an acid suppressant is taken, and since when is not recorded",
    follows_from="long_uses",
)
def length_unknown(case: Case) -> Found:
    return by_length(case, long=False)


LIMIT_OF = {"metformin": "metformin-long", "ppi": "acid-suppressant-long", "h2ra": "acid-suppressant-long"}


def explains(case: Case, entry: Medication) -> bool:
    """Has it been taken long enough to explain a deficiency? A start that is not recorded counts as long ago."""
    groups = case.pathway.groups
    limit = next((name for group, name in LIMIT_OF.items() if entry.ingredient in groups[group]), "medicine-long")
    alike = [each for each in case.medicines("box2") if each.ingredient == entry.ingredient]
    begun = used_since(case, alike, [each for each in alike if exposed(case, each)])
    return begun is None or case.limits.longer_than_months(limit, begun, case.today)


@step(
    "explaining",
    follows_from="lowering",
    medicines="box2 metformin ppi h2ra",
    limits="medicine-stopped metformin-long acid-suppressant-long medicine-long",
)
def explaining(case: Case) -> bool:
    """Those of the medicines that lower B12 that have been taken long enough to explain a deficiency."""
    case.explaining = [each for each in case.lowering if explains(case, each)]
    return bool(case.lowering)


@finding(
    "long_enough_medicine",
    "a medicine that can lower B12 has been taken long enough to explain a deficiency",
    follows_from="explaining",
)
def long_enough_medicine(case: Case) -> Found:
    return with_durations(case, case.explaining)


@finding(
    "short_medicine",
    "a medicine that can lower B12 has been taken for too short a time to be the whole cause",
    follows_from="explaining",
)
def short_medicine(case: Case) -> Found:
    return with_durations(case, [each for each in case.lowering if each not in case.explaining])


any_of(
    "medicine_induced",
    "a medicine taken long enough, or recreational nitrous oxide, may explain a deficiency",
    "long_enough_medicine",
    "nitrous_oxide",
)


@finding("macro_other_medicine", "a medicine that enlarges red cells is in use", medicines="macro-other")
def macro_other_medicine(case: Case) -> Found:
    return ingredient_evidence(case, [entry for entry in case.medicines("macro-other") if entry.active])


@finding("homocysteine_raising", "a medicine that raises homocysteine is in use", medicines="homocysteine-raising")
def homocysteine_raising(case: Case) -> Found:
    return ingredient_evidence(case, [entry for entry in case.medicines("homocysteine-raising") if entry.active])


# --- What could not be read


@finding("medicines_unknown", "neither list of medicines could be read", reads="which lists of medicines could be read")
def medicines_unknown(case: Case) -> Found:
    seen = case.record.published - case.record.unavailable
    return None if seen & MEDICINES_STAND_IN else (Because("", case.words("no-medicine-list")),)


@finding(
    "treatment_unreadable",
    "neither orders, statements nor doses of medicines could be read",
    reads="which lists of medicines could be read",
)
def treatment_unreadable(case: Case) -> Found:
    """Then nothing can be said of a course."""
    seen = case.record.published - case.record.unavailable
    return None if seen & (MEDICINES_STAND_IN | DOSES_STAND_IN) else (Because("", case.words("no-list")),)


@finding("allergies_unknown", "the allergies could not be read", reads="whether the allergies could be read")
def allergies_unknown(case: Case) -> Found:
    seen = case.record.published - case.record.unavailable
    return None if "allergies" in seen else (Because("", case.words("no-allergies")),)
