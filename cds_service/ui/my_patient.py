"""My patient: a form on which somebody enters an invented patient in a few strokes, and the hook request of it.

Only ages, days ago, codes and numbers are entered, no free text and no day of the calendar, so that what is entered
may stand in the fragment of an address. The form is there in demo mode only: beside real clients nobody is invited to
type a patient into a page.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from cds_service.cdshooks.client_config import ClientConfig
from cds_service.content.content import Content
from cds_service.examples.vignette_fhir import hook_request
from cds_service.examples.vignettes import Vignette

from .form import MEDICINES, UNCHANGED, Choices, Entered, Form, WrongField, builder, choose_order, quantity
from .request_json import ENCODER, Json, Tree

RESULTS = ("b12", "mma", "mcv", "haemoglobin", "egfr")  # the tests of which one has a number at hand
MORE = 2  # further results
SYMPTOMS = ("paraesthesia", "numbness", "gait-problem", "impaired-balance", "memory-impairment", "fatigue", "glossitis")
CAUSES = ("pernicious-anaemia", "vegan", "bariatric", "gastrectomy-total", "crohns", "coeliac", "pregnancy", "leber")
TAKEN = ("metformin", "omeprazole", "folic-acid", "oestrogen-contraceptive", "nitrous-oxide")
INJECTED = ("hydroxocobalamin", "cyanocobalamin")
SINCE = (  # days, and how one says it
    (7, "1 week"), (30, "1 month"), (90, "3 months"), (180, "6 months"), (365, "1 year"), (1095, "3 years"),
    (2920, "8 years"),
)  # fmt: skip
AGO = {"result": 7, "injections": 60}  # days, where the form says nothing
MOST_DAYS, MOST_INJECTIONS, OLDEST = 40_000, 60, 120
BLANK = {"sex": "female", "age": "55"}


@dataclass(frozen=True, slots=True)
class Chip:
    """Something that is there or not: a symptom, cause or medicine, since when."""

    id: str
    words: str


@dataclass(frozen=True, slots=True)
class Offered:
    """What the form offers under one pathway."""

    results: tuple[tuple[str, str, tuple[str, ...]], ...]  # id, display, units
    groups: tuple[tuple[str, str, tuple[Chip, ...]], ...]  # id, title, chips
    injected: tuple[Chip, ...]
    since: tuple[tuple[int, str], ...]
    choices: Choices


def offered(content: Content, lists: Choices) -> Offered:
    """Everything with its words from the content; `lists` is what every form offers."""
    analytes, displays = content.analytes, content.displays

    def chips(names: tuple[str, ...]) -> tuple[Chip, ...]:
        return tuple(Chip(name, displays[name]) for name in names if name in displays)

    units = {name: tuple(dict.fromkeys(unit.spelling for unit in analytes[name].units.values())) for name in RESULTS}
    return Offered(
        tuple((name, analytes[name].display, units[name]) for name in RESULTS),
        (
            ("symptoms", "Symptoms", chips(SYMPTOMS)),
            ("causes", "Causes and states", chips(CAUSES)),
            ("medicines", "Medicines", chips(TAKEN)),
        ),
        chips(INJECTED),
        SINCE,
        lists,
    )


def request_of_form(entered: Entered, config: ClientConfig, today: date) -> bytes:
    """The call about the patient that was entered; what cannot be used is noted among the faults of `entered`."""
    form, pathway = entered.form, config.pathway.id
    described: dict[str, Any] = {"pathway": pathway, "egfr": "unknown", "patient": {}}
    with entered.checked():
        described["patient"] = patient_of(form)
    described["lab"] = list(results_of(entered, config.content))
    described["problem"] = [
        {"concept": name, "days_ago": days} for name, days in ticked(entered, (*SYMPTOMS, *CAUSES), "problem")
    ]
    described["medicine"] = [medicine_of(name, days) for name, days in ticked(entered, TAKEN, "medicine")]
    with entered.checked():
        described["medicine"] += injections_of(form)
    vignette = Vignette("my-patient", "My patient", today, pathway, described, {})
    tree = Tree(ENCODER.encode(hook_request(vignette, config.content)))
    with entered.checked():
        choose_order(tree, form.get("order", UNCHANGED), config, builder(config.content, pathway, today))
    tree.renew()
    return tree.encoded()


def patient_of(form: Form) -> Json:
    """Sex, and age in whole years."""
    age = form.get("age", "").strip()
    if age and not (age.isascii() and age.isdecimal() and int(age) <= OLDEST):
        raise WrongField("age", f"Age: allowed are whole years from 0 to {OLDEST}")
    sex = form.get("sex", "")
    return {"sex": sex if sex in ("female", "male") else "unknown", "age": int(age) if age else "unknown"}


def results_of(entered: Entered, content: Content) -> Iterator[Json]:
    """The results whose value was entered."""
    fields = [(name, name) for name in RESULTS]
    fields += [(f"more-{number}", entered.form.get(f"more-{number}-analyte", "")) for number in range(MORE)]
    for field, analyte in fields:
        value = entered.form.get(f"{field}-value", "").strip()
        if not value:
            continue
        with entered.checked():
            known = content.analytes.get(analyte)
            if known is None:
                raise WrongField(f"{field}-analyte", "Another result: choose the test, or empty the value")
            unit = entered.form.get(f"{field}-unit", "") or known.chart_unit
            if unit not in {each.spelling for each in known.units.values()}:
                units = ", ".join(dict.fromkeys(each.spelling for each in known.units.values()))
                raise WrongField(f"{field}-unit", f"Unit of {known.display}: allowed are {units}")
            found = quantity(value, unit, f"{field}-value", known.display)
            yield {
                "analyte": analyte,
                "value": found["value"],
                "unit": unit,
                "days_ago": days_ago(entered.form, f"{field}-ago", known.display, AGO["result"]),
            } | ({"comparator": found["comparator"]} if "comparator" in found else {})


def ticked(entered: Entered, names: tuple[str, ...], kind: str) -> Iterator[tuple[str, int]]:
    """The chips of these names that are set, and since how many days."""
    for name in names:
        if entered.ticked(f"has-{name}"):
            with entered.checked():
                yield name, days_ago(entered.form, f"since-{name}", f"{kind} {name}", SINCE[1][0])


def medicine_of(name: str, days: int) -> Json:
    """A medicine in use, in the dose that is usual where we know one."""
    usual = MEDICINES[name][1] if name in MEDICINES else {"ingredient": name}
    return {**usual, "days_ago": days}


def injections_of(form: Form) -> list[Json]:
    """Doses that were given: how many, the last so many days ago, and how far apart."""
    ingredient = form.get("inj-medicine", "")
    if not ingredient:
        return []
    if ingredient not in INJECTED:
        raise WrongField("inj-medicine", f"Injections: allowed are {', '.join(INJECTED)}")
    number = whole(form, "inj-number", "Number of injections", 1, MOST_INJECTIONS)
    last = days_ago(form, "inj-last", "Last injection", AGO["injections"])
    every = whole(form, "inj-every", "Days between injections", 90, MOST_DAYS)
    dose = {"ingredient": ingredient, "as": "administration", "dose": "1 mg", "route": "im"}
    return [{**dose, "days_ago": last + count * every} for count in range(number)]


def days_ago(form: Form, name: str, place: str, otherwise: int) -> int:
    """A number of days before today."""
    return whole(form, name, f"{place}, days ago", otherwise, MOST_DAYS, least=0)


def whole(form: Form, name: str, place: str, otherwise: int, most: int, *, least: int = 1) -> int:
    """A whole number as it was typed; `otherwise` where nothing was."""
    text = form.get(name, "").strip()
    if not text:
        return otherwise
    if not (text.isascii() and text.isdecimal() and least <= int(text) <= most):
        raise WrongField(name, f"{place}: allowed are whole numbers from {least} to {most}")
    return int(text)


def is_mine(form: Mapping[str, str]) -> bool:
    """Is it the form of my patient that was sent?"""
    return "mine" in form
