"""What the form can add to a request: a result, a problem, a medicine, or the draft order that the call is about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import uuid4

from cds_service.examples.vignette_fhir import Build
from cds_service.examples.vignette_orders import draft
from cds_service.examples.vignettes import Vignette, VignetteError
from cds_service.knowledge.content import Content
from cds_service.knowledge.files import value_set_files
from cds_service.knowledge.review_codes import roots
from cds_service.pipeline import Service
from cds_service.web.errors import Refused

from .editing import Form, day_of, quantity
from .request_tree import Json, Tree

ADDABLE = 2  # empty rows of each kind
KEEP, NONE = "keep", "none"


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


def add(tree: Tree, form: Form, build: Build) -> None:
    """Put in what the empty rows of the form were filled with."""
    for told, make in additions(form, build):
        try:
            resource = make(told | {"id": f"added-{uuid4().hex[:12]}"})
        except (VignetteError, KeyError):
            raise Refused(400, "the form names something that cannot be added; choose from its lists") from None
        key = build.key(resource)
        owner = "patient" if "patient" in resource else "subject"
        resource[owner] = {"reference": f"Patient/{tree.patient_id}"}
        tree.add(key, resource)


def additions(form: Form, build: Build) -> Iterator[tuple[Json, Any]]:
    """What is told of each addition, and what makes a resource of it."""
    for number in range(ADDABLE):
        if analyte := form.get(f"new-lab-{number}-analyte"):
            yield lab(f"new-lab-{number}", analyte, form, build), build.lab
        if concept := form.get(f"new-problem-{number}-concept"):
            yield {"concept": concept, **dated(f"new-problem-{number}", "date", form)}, build.problem
        if ingredient := form.get(f"new-medicine-{number}-ingredient"):
            yield {"ingredient": ingredient, **dated(f"new-medicine-{number}", "date", form)}, build.medicine


def lab(name: str, analyte: str, form: Form, build: Build) -> Json:
    """A new result; without a unit in the analyte's first one, without a day of today."""
    known = build.content.analytes.get(analyte)
    if known is None:
        raise Refused(400, f"New result: there is no such test; known: {', '.join(build.content.analytes)}")
    unit = form.get(f"{name}-unit") or known.chart_unit
    found = quantity(form.get(f"{name}-value", "").strip(), unit, f"New result, {known.display}")
    told = {"analyte": analyte, "value": found["value"], "unit": unit, **dated(name, "date", form)}
    return {"date": build.as_of.isoformat()} | told | ({"comparator": found["comparator"]} if len(found) > 2 else {})


def dated(name: str, key: str, form: Form) -> Json:
    day = day_of(form.get(f"{name}-day", ""), "Date of what is added")
    return {key: day} if day else {}


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
        raise Refused(400, "Draft order: allowed is what the list offers")
    tree.order(order)
