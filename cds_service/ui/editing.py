"""The form's answers put into the request: what differs from what the form showed is changed, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal

from cds_service.clinical.units import normalise_unit
from cds_service.examples.vignette_fhir import Build

from .entered import Entered, Form, WrongField
from .record_rows import Row, Rows
from .request_tree import Json, Tree

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
        fresh = build.lab({"analyte": analyte_named(row, build), "value": "1", "unit": unit})
        resource["code"] = fresh["code"]
        resource.pop("referenceRange", None)


def analyte_named(row: Row, build: Build) -> str:
    """The analyte of a row, by its display."""
    return next(name for name, each in build.content.analytes.items() if each.display == row.display)


def quantity(text: str, unit: str, name: str, place: str) -> Json:
    """A Quantity of what was typed into the field of that name: a number, perhaps with a comparator."""
    typed = QUANTITY.fullmatch(text)
    if not typed:
        raise WrongField(name, f"{place}: {ALLOWED}")
    number = typed[2]
    if TWO_MEANINGS.fullmatch(number):
        plain, point = number.replace(",", ""), number.replace(",", ".")
        raise WrongField(name, f"{place}: the comma in {number} can be read in two ways; write {plain} or {point}")
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
