"""A hook that is added is served everywhere: its vignettes, its faults, its drafts. Nothing else lists hooks."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

import msgspec
import pytest

from cds_service.cdshooks import registry
from cds_service.cdshooks.faults import BadRequest
from cds_service.cdshooks.registry import HOOKS, Context, Hook, OrderContext, registered
from cds_service.cdshooks.requests import read_request
from cds_service.content.content import load_content
from cds_service.content.files import cards_folder
from cds_service.examples import vignette_fhir, vignettes
from cds_service.examples.vignette_fhir import hook_request
from cds_service.examples.vignettes import parse_vignette
from tests.hooks.calling import body


class Booking(Context, kw_only=True):
    appointments: msgspec.Raw
    slots: int = 0
    virtual: bool = False
    hours: float = 0.0


class Review(OrderContext, kw_only=True):
    reviewers: list[str] = msgspec.field(default_factory=list)


DESCRIPTION = "An example. Pathway: {pathway}."
ADDED = (
    Hook("encounter-discharge", Context, title="Discharge", description=DESCRIPTION),
    Hook("appointment-book", Booking, title="Booking", description=DESCRIPTION),
    Hook("order-review", Review, title="Review", description=DESCRIPTION),
)


@pytest.fixture(autouse=True)
def more_hooks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The registry with three hooks more, wherever it is read."""
    more = MappingProxyType(registered(*HOOKS.values(), *ADDED))
    for module in (registry, vignettes, vignette_fhir):
        monkeypatch.setattr(module, "HOOKS", more)
    monkeypatch.setattr("cds_service.cdshooks.requests.HOOKS", more)
    return iter(())


@pytest.mark.parametrize("hook", [each.id for each in ADDED])
def test_a_vignette_may_be_about_a_hook_that_was_added(hook: str):
    vignette = parse_vignette(f'title = "x"\nhook = "{hook}"\n', "x.toml")
    context = hook_request(vignette, load_content(cards_folder()))["context"]
    assert ("draftOrders" in context) == (hook == "order-review")
    assert "selections" not in context


@pytest.mark.parametrize(
    ("field", "value", "wanted"),
    [("slots", "two", "number"), ("virtual", "no", "boolean"), ("hours", "long", "number")],
)
def test_a_field_of_its_own_that_is_of_another_type_is_named(field: str, value: str, wanted: str):
    sent = body(hook="appointment-book")
    sent["context"] = {**sent["context"], "appointments": {}, field: value}
    with pytest.raises(BadRequest) as refused:
        read_request(msgspec.json.encode(sent), "appointment-book")
    (fault,) = refused.value.faults
    assert (fault.path, fault.text) == (f"context.{field}", f"context.{field}: is not of type {wanted}")
