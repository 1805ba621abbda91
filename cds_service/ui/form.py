"""The form of the playground: what a person typed, what of it cannot be used, and the request changed as it says.

What differs from what the form showed is changed, what is new is added, and nothing else. Every fault belongs to a
field, and a form with faults is drawn again as it was typed, so that nothing has to be typed twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import uuid4

from cds_service.cdshooks.client_config import ClientConfig
from cds_service.clinical.tables import Analyte, normalise_unit
from cds_service.content.content import Content
from cds_service.content.files import value_set_files
from cds_service.content.valuesets import roots
from cds_service.examples.vignette_fhir import Build, draft
from cds_service.examples.vignettes import Vignette
from cds_service.web.messages import Refused

from .patient import Row, Rows
from .request_json import Json, Tree

Form = Mapping[str, str]
PASTED = {name: f"pasted-{name}" for name in ("pathway", "today")}  # fields that both forms of the page have


class WrongField(Refused):
    """What was typed into one field cannot be used. The text names the field, the fault and what is allowed."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        super().__init__(400, text)


@dataclass(frozen=True, slots=True)
class Entered:
    """What was typed, by the names of the fields, and the faults in it. Nothing typed: a page that shows a record."""

    form: Form = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def checked(self) -> Iterator[None]:
        """A field that is wrong is noted, and the next one is looked at."""
        try:
            yield
        except WrongField as wrong:
            self.faults.setdefault(wrong.name, wrong.texts[0])

    @property
    def is_pasted(self) -> bool:
        """Is it the form into which one pastes?"""
        return "pasted" in self.form

    def id(self, name: str) -> str:
        """The id of a field on the page."""
        return PASTED.get(name, name) if self.is_pasted else name

    def value(self, name: str, recorded: object = "") -> str:
        """What stands in a field: what was typed, else what is recorded."""
        return self.form.get(name, "" if recorded is None else str(recorded))

    def ticked(self, name: str) -> bool:
        """Was the box ticked?"""
        return bool(self.form.get(name))

    def fault(self, name: str) -> str:
        """What is wrong with a field, or ""."""
        return self.faults.get(name, "")

    @property
    def wrong_rows(self) -> set[str]:
        """The rows that hold a wrong field ("lab-7" of "lab-7-value"): what is folded around them is opened."""
        return {name.rpartition("-")[0] for name in self.faults}

    def is_filled(self, beginning: str) -> bool:
        """Was anything typed or wrong below that name, other than a day, which may stand there from the start?"""
        typed = {name for name, text in self.form.items() if text and not name.endswith("-day")}
        return any(name.startswith(beginning) for name in typed | self.faults.keys())


QUANTITY = re.compile(r"(<=|>=|<|>)?\s*([0-9]{1,9}(?:[.,][0-9]{1,6})?)")
TWO_MEANINGS = re.compile(r"[^,]*,[0-9]{3}")  # "1,234": a thousand and more, or one and a bit
ALLOWED = "allowed is a number such as 150 or 12.5, also <50 or >2000; the unit is chosen beside it"
EFFECTIVE = ("effectiveDateTime", "effectivePeriod", "effectiveInstant", "effectiveTiming", "issued")
ONSET = ("onsetDateTime", "onsetPeriod", "onsetAge", "onsetRange", "onsetString", "recordedDate")
PERFORMED = ("performedDateTime", "performedPeriod", "performedAge", "performedRange", "performedString")
ADMINISTERED = ("effectiveDateTime", "effectivePeriod")
DATES: Mapping[str, tuple[str, tuple[str, ...]]] = {  # type -> the field of its day, and all that may hold it
    "Observation": ("effectiveDateTime", EFFECTIVE),
    "Condition": ("onsetDateTime", ONSET),
    "Procedure": ("performedDateTime", PERFORMED),
    "MedicationRequest": ("authoredOn", ("authoredOn",)),
    "MedicationAdministration": ("effectiveDateTime", ADMINISTERED),
    "MedicationDispense": ("whenHandedOver", ("whenHandedOver", "whenPrepared")),
}


def edit(tree: Tree, rows: Rows, entered: Entered, build: Build, today: date) -> None:
    """Change the request as the form says; what cannot be used is noted among the faults of `entered`."""
    form = entered.form
    with entered.checked():
        edit_patient(tree, rows, form, today)
    every = (*rows.labs, *rows.problems, *rows.medicines)
    tree.drop({row.reference for row in every if form.get(f"{row.name}-drop")})
    for row in every:
        if row.editable and (resource := tree.find(row.reference)) is not None:
            with entered.checked():
                edit_quantity(resource, row, form, build)
            with entered.checked():
                edit_days(resource, row, form)


def edit_patient(tree: Tree, rows: Rows, form: Form, today: date) -> None:
    """Sex, and age in whole years."""
    patient = tree.patient()
    if patient is None:
        return
    sex, age = form.get("sex", rows.sex), form.get("age", "").strip()
    if sex != rows.sex and sex in ("female", "male", ""):
        patient["gender"] = sex or "unknown"
    if age and age != str(rows.age):
        if not age.isdecimal() or not age.isascii() or int(age) > 120:
            raise WrongField("age", "Age: allowed are whole years from 0 to 120")
        patient["birthDate"] = date(today.year - int(age), 1, 1).isoformat()


def edit_quantity(resource: Json, row: Row, form: Form, build: Build) -> None:
    """A result's number and unit. With another unit goes the code that promises it, and the laboratory's range."""
    value, unit = form.get(f"{row.name}-value", row.value).strip(), form.get(f"{row.name}-unit", row.unit)
    if not row.units or (value, unit) == (row.value, row.unit):
        return
    if unit not in row.units:
        raise WrongField(f"{row.name}-unit", f"Unit of {row.display}: allowed are {', '.join(row.units)}")
    if not value:
        raise WrongField(f"{row.name}-value", f"Value of {row.display}: it is empty; to remove the result, tick "
                         "“leave out” beside it")  # fmt: skip
    resource["valueQuantity"] = quantity(value, unit, f"{row.name}-value", f"Value of {row.display}")
    resource.pop("interpretation", None)
    if normalise_unit(unit) != normalise_unit(row.unit):
        fresh = build.lab({"analyte": analyte_of_row(row, build), "value": "1", "unit": unit})
        resource["code"] = fresh["code"]
        resource.pop("referenceRange", None)


def analyte_of_row(row: Row, build: Build) -> str:
    """The analyte of a row, by its display."""
    return next(name for name, each in build.content.analytes.items() if each.display == row.display)


def quantity(text: str, unit: str, name: str, place: str) -> Json:
    """A Quantity of what was typed into the field of that name: a number, perhaps with a comparator."""
    typed = QUANTITY.fullmatch(text)
    if not typed:
        raise WrongField(name, f"{place}: {ALLOWED}")
    number = typed[2]
    if TWO_MEANINGS.fullmatch(number):
        without_comma, with_point = number.replace(",", ""), number.replace(",", ".")
        raise WrongField(
            name, f"{place}: the comma in {number} can be read in two ways; write {without_comma} or {with_point}"
        )
    comparator = {"comparator": typed[1]} if typed[1] else {}
    return {"value": Decimal(number.replace(",", ".")), **comparator, "unit": unit}


def edit_days(resource: Json, row: Row, form: Form) -> None:
    """The day of a result or problem, or the first and last day of a medicine."""
    day = typed_day(form, f"{row.name}-day", row.day, "Date", row)
    end = typed_day(form, f"{row.name}-end", row.end, "End", row)
    if (day, end) == (row.day, row.end):
        return
    if resource["resourceType"] == "MedicationStatement":
        resource.pop("effectiveDateTime", None)
        resource["effectivePeriod"] = {name: each for name, each in (("start", day), ("end", end)) if each}
    elif day != row.day:
        set_day(resource, day)
    if end != row.end:
        set_end(resource, end)


def typed_day(form: Form, name: str, recorded: str, what: str, row: Row) -> str:
    """The day in a field of a row; as it is recorded, where the form has no such field."""
    return day_of(form.get(name, recorded), name, f"{what} of {row.display}")


def set_day(resource: Json, day: str) -> None:
    """One day instead of whatever said when it was."""
    name, others = DATES[resource["resourceType"]]
    for other in others:
        resource.pop(other, None)
    if day:
        resource[name] = day


def set_end(resource: Json, end: str) -> None:
    """The end of a medicine: an order or statement that has ended is in force no more."""
    if resource["resourceType"] not in ("MedicationRequest", "MedicationStatement"):
        return
    resource["status"] = "completed" if end else "active"
    if resource["resourceType"] == "MedicationRequest":
        resource.pop("dispenseRequest", None)
        if end:
            resource["dispenseRequest"] = {"validityPeriod": {"end": end}}


def day_of(text: str, name: str, place: str) -> str:
    """A day as it was typed into the field of that name, "" for none; WrongField if the calendar has no such day."""
    text = text.strip()
    try:
        return date.fromisoformat(text).isoformat() if text else ""
    except ValueError:
        raise WrongField(name, f"{place}: allowed is a day such as 2026-01-31, or nothing") from None


ADDABLE = 2  # empty rows of each kind
UNCHANGED, NONE = "keep", "none"
OUTCOMES = ("positive", "negative")
FROM_LISTS = "it is nothing that can be added; choose from the list"


def by_mouth(ingredient: str, dose: str) -> Json:
    """A medicine to be swallowed once a day, as a vignette states it."""
    return {"ingredient": ingredient, "dose": dose, "every": "1 day", "route": "oral"}


MEDICINES: Mapping[str, tuple[str, Json]] = {  # draft orders that are no regimen of ours
    "folic-acid": ("Folic acid 5 mg a day", by_mouth("folic-acid", "5 mg")),
    "metformin": ("Metformin 500 mg a day", by_mouth("metformin", "500 mg")),
    "omeprazole": ("Omeprazole 20 mg a day", by_mouth("omeprazole", "20 mg")),
    "cyanocobalamin": ("Cyanocobalamin 50 micrograms a day by mouth", by_mouth("cyanocobalamin", "50 microgram")),
    "hydroxocobalamin": (
        "Hydroxocobalamin 1 mg once a year",
        {"ingredient": "hydroxocobalamin", "dose": "1 mg", "every": "1 year", "route": "im"},
    ),
}


@dataclass(frozen=True, slots=True)
class Choices:
    """What the form offers, as (value, text) pairs."""

    analytes: tuple[tuple[str, str], ...]
    units: tuple[str, ...]
    problems: tuple[tuple[str, str], ...]
    medicines: tuple[tuple[str, str], ...]
    orders: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]  # grouped


def choices(content: Content, config: ClientConfig) -> Choices:
    """What can be added under this pathway."""
    names = value_set_files(roots(content))
    regimens = tuple((f"regimen:{each.id}", each.title) for each in config.pathway.regimens.values())
    tests = tuple((f"test:{each.id}", each.title) for each in config.pathway.orderables.values() if each.coding)
    return Choices(
        tuple((each.id, each.display) for each in content.analytes.values()),
        tuple(dict.fromkeys(unit.spelling for each in content.analytes.values() for unit in each.units.values())),
        with_displays("problem-", names, content),
        with_displays("medicine-", names, content),
        (
            ("Treatment schedules of this pathway", regimens),
            ("Other medicines", tuple((f"medicine:{name}", text) for name, (text, _) in MEDICINES.items())),
            ("Tests", tests),
        ),
    )


def with_displays(kind: str, names: Any, content: Content) -> tuple[tuple[str, str], ...]:
    """The concepts that have a value set of that kind, by their displays."""
    found = [name.removeprefix(kind) for name in names if name.startswith(kind)]
    return tuple(sorted(((name, content.displays.get(name, name)) for name in found), key=lambda pair: pair[1]))


def builder(content: Content, pathway: str, day: date) -> Build:
    """Builds resources as the vignettes are built."""
    return Build(Vignette("", "", day, pathway, {"pathway": pathway}, {}), content)


def add(tree: Tree, entered: Entered, build: Build) -> None:
    """Put in what the empty rows of the form were filled with; what cannot be used is noted among its faults."""
    kinds: Mapping[str, tuple[Callable[..., Json], Callable[[Json], Json]]] = {
        "lab": (lab, build.lab),
        "problem": (problem, build.problem),
        "medicine": (medicine, build.medicine),
    }
    for number in range(ADDABLE):
        for kind, (read, make) in kinds.items():
            with entered.checked():
                if typed := read(f"new-{kind}-{number}", number + 1, entered.form, build):
                    put(tree, make(typed | {"id": f"added-{uuid4().hex[:12]}"}), build)


def put(tree: Tree, resource: Json, build: Build) -> None:
    """Make it a resource of the patient of the call."""
    key = build.key(resource)
    owner = "patient" if "patient" in resource else "subject"
    resource[owner] = {"reference": f"Patient/{tree.patient_id}"}
    tree.add(key, resource)


def problem(name: str, number: int, form: Form, build: Build) -> Json:
    """A new symptom or disease; {} for an empty row."""
    place = f"New entry {number}"
    concept = listed(form, f"{name}-concept", "problem-", place, build)
    return {"concept": concept, **dated(name, form, place)} if concept else {}


def medicine(name: str, number: int, form: Form, build: Build) -> Json:
    """A new medicine; {} for an empty row."""
    place = f"New medicine {number}"
    ingredient = listed(form, f"{name}-ingredient", "medicine-", place, build)
    begun = dated(name, form, place)
    if begun and not ingredient:
        raise WrongField(f"{name}-ingredient", f"{place}: choose the medicine, or empty the date")
    return {"ingredient": ingredient, **begun} if ingredient else {}


def listed(form: Form, field: str, kind: str, place: str, build: Build) -> str:
    """What was chosen of a list of value sets."""
    chosen = form.get(field, "")
    if chosen and f"{kind}{chosen}" not in value_set_files(roots(build.content)):
        raise WrongField(field, f"{place}: {FROM_LISTS}")
    return chosen


def lab(name: str, number: int, form: Form, build: Build) -> Json:
    """A new result, {} for an empty row; without a unit in the analyte's usual one, without a day of today."""
    place, analyte = f"New result {number}", form.get(f"{name}-analyte", "")
    value, unit = form.get(f"{name}-value", "").strip(), form.get(f"{name}-unit", "")
    if not analyte:
        if value or unit:
            raise WrongField(f"{name}-analyte", f"{place}: choose the test, or empty the value and the unit")
        return {}
    known = build.content.analytes.get(analyte)
    if known is None:
        raise WrongField(f"{name}-analyte", f"{place}: there is no such test; {FROM_LISTS}")
    typed = {"analyte": analyte, "date": build.as_of.isoformat(), **dated(name, form, place)}
    measured = outcome if is_qualitative(known) else number_of
    return typed | measured(f"{name}-value", value, unit or known.chart_unit, f"{place}, {known.display}")


def is_qualitative(analyte: Analyte) -> bool:
    """Is it a test that is judged as positive or negative only? Its units are those of one maker each."""
    return set(analyte.bases) == {"arbitrary"}


def outcome(field: str, value: str, unit: str, place: str) -> Json:
    """What a test says that has no number."""
    result = value.casefold()
    if result not in OUTCOMES or unit:
        raise WrongField(field, f"{place}: allowed is {' or '.join(OUTCOMES)}, without a unit")
    return {"outcome": result}


def number_of(field: str, value: str, unit: str, place: str) -> Json:
    """A number with its unit."""
    found = quantity(value, unit, field, place)
    comparator = {"comparator": found["comparator"]} if "comparator" in found else {}
    return {"value": found["value"], "unit": unit, **comparator}


def dated(name: str, form: Form, place: str) -> Json:
    day = day_of(form.get(f"{name}-day", ""), f"{name}-day", f"{place}, date")
    return {"date": day} if day else {}


def choose_order(tree: Tree, chosen: str, config: ClientConfig, build: Build) -> None:
    """Make it a call about a draft order, or about none."""
    if chosen == UNCHANGED:
        return
    if chosen == NONE:
        tree.without_orders()
        return
    kind, _, name = chosen.partition(":")
    patient, pathway = f"Patient/{tree.patient_id}", config.pathway
    if kind == "regimen" and name in pathway.regimens:
        order = config.drafts.medicine(name, patient, "draft-1", build.as_of) | {"intent": "order"}
    elif kind == "test" and name in pathway.orderables:
        order = config.drafts.test(name, patient, "draft-1", build.as_of) | {"intent": "order"}
    elif kind == "medicine" and name in MEDICINES:
        order = draft(MEDICINES[name][1] | {"id": "draft-1"}, build) | {"subject": {"reference": patient}}
    else:
        raise WrongField("order", "Draft order: allowed is what the list offers")
    tree.order(order)
