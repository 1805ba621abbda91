"""What the form can add to a request: a result, a problem, a medicine, or the draft order that the call is about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import uuid4

from cds_service.clinical.tables import Analyte
from cds_service.content.content import Content
from cds_service.content.files import value_set_files
from cds_service.content.valuesets import roots
from cds_service.evaluate import Service
from cds_service.examples.vignette_fhir import Build, draft
from cds_service.examples.vignettes import Vignette

from .editing import day_of, quantity
from .entered import Entered, Form, WrongField
from .request_tree import Json, Tree

ADDABLE = 2  # empty rows of each kind
KEEP, NONE = "keep", "none"
OUTCOMES = ("positive", "negative")
FROM_LISTS = "it is nothing that can be added; choose from the list"


def by_mouth(ingredient: str, dose: str) -> Json:
    """A medicine to be swallowed once a day, as a vignette tells of it."""
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


def choices(content: Content, service: Service) -> Choices:
    """What can be added under this pathway."""
    names = value_set_files(roots(content))
    regimens = tuple((f"regimen:{each.id}", each.title) for each in service.pathway.regimens.values())
    tests = tuple((f"test:{each.id}", each.title) for each in service.pathway.orderables.values() if each.coding)
    return Choices(
        tuple((each.id, each.display) for each in content.analytes.values()),
        tuple(dict.fromkeys(unit.spelling for each in content.analytes.values() for unit in each.units.values())),
        named("problem-", names, content),
        named("medicine-", names, content),
        (
            ("Treatment schedules of this pathway", regimens),
            ("Other medicines", tuple((f"medicine:{name}", text) for name, (text, _) in MEDICINES.items())),
            ("Tests", tests),
        ),
    )


def named(kind: str, names: Any, content: Content) -> tuple[tuple[str, str], ...]:
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
                if told := read(f"new-{kind}-{number}", number + 1, entered.form, build):
                    put(tree, make(told | {"id": f"added-{uuid4().hex[:12]}"}), build)


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
    told = {"analyte": analyte, "date": build.as_of.isoformat(), **dated(name, form, place)}
    measured = outcome if is_qualitative(known) else number_of
    return told | measured(f"{name}-value", value, unit or known.chart_unit, f"{place}, {known.display}")


def is_qualitative(analyte: Analyte) -> bool:
    """Is it a test that is judged as positive or negative only? Its units are those of one maker each."""
    return set(analyte.bases) == {"arbitrary"}


def outcome(field: str, value: str, unit: str, place: str) -> Json:
    """What a test says that has no number."""
    said = value.casefold()
    if said not in OUTCOMES or unit:
        raise WrongField(field, f"{place}: allowed is {' or '.join(OUTCOMES)}, without a unit")
    return {"outcome": said}


def number_of(field: str, value: str, unit: str, place: str) -> Json:
    """A number with its unit."""
    found = quantity(value, unit, field, place)
    comparator = {"comparator": found["comparator"]} if "comparator" in found else {}
    return {"value": found["value"], "unit": unit, **comparator}


def dated(name: str, form: Form, place: str) -> Json:
    day = day_of(form.get(f"{name}-day", ""), f"{name}-day", f"{place}, date")
    return {"date": day} if day else {}


def choose_order(tree: Tree, chosen: str, service: Service, build: Build) -> None:
    """Make it a call about a draft order, or about none."""
    if chosen == KEEP:
        return
    if chosen == NONE:
        tree.without_orders()
        return
    kind, _, name = chosen.partition(":")
    patient, pathway = f"Patient/{tree.patient_id}", service.pathway
    if kind == "regimen" and name in pathway.regimens:
        order = service.drafts.medicine(name, patient, "draft-1", build.as_of) | {"intent": "order"}
    elif kind == "test" and name in pathway.orderables:
        order = service.drafts.test(name, patient, "draft-1", build.as_of) | {"intent": "order"}
    elif kind == "medicine" and name in MEDICINES:
        order = draft(MEDICINES[name][1] | {"id": "draft-1"}, build) | {"subject": {"reference": patient}}
    else:
        raise WrongField("order", "Draft order: allowed is what the list offers")
    tree.order(order)
