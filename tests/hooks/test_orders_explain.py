"""`b12-cds explain` on calls about orders: the same pipeline, and what was not used of the drafts (issue 4, part 1)."""

from __future__ import annotations

from pathlib import Path

import pytest

from cds_service.examples.vignettes import VignetteError, read_vignette
from cds_service.fhir.orders import NOT_IN_BUNDLE
from tests.book import FIXTURES
from tests.hooks.ordering import call, draft, drafts, lab_draft, select, sign
from tests.hooks.test_explain import one_line, run, saved, told

__all__ = ["saved"]
VIGNETTES = FIXTURES / "vignettes" / "uk-ng239"
DAY = ("--as-of", "2026-01-15")


@pytest.mark.parametrize(
    ("name", "rows"),
    [("o-b12-test-again", ["orders/O5"]), ("13-folic-acid-b12-150", ["safety/S2"]), ("o-amoxicillin", [])],
)
def test_a_vignette_about_an_order_is_explained_by_its_rows(name, rows):
    assert told(VIGNETTES / f"{name}.toml")["rows"] == rows


@pytest.mark.parametrize("make", [select, sign], ids=["order-select", "order-sign"])
def test_a_saved_request_is_explained_as_its_hook_would_answer(saved, make):
    request = make(drafts(draft(), lab_draft()))
    found = told(*DAY, saved(request))
    assert found["rows"] == ["safety/S2", "orders/O5"]
    assert found["cards"] == call(request).json["cards"]


def test_what_was_not_used_of_the_drafts_is_told(saved):
    foreign = draft("other", subject={"reference": "Patient/pt-2"})
    request = select(drafts(draft(), foreign), "MedicationRequest/draft-1", "MedicationRequest/gone")
    ignored = told(*DAY, saved(request))["ignored"]
    assert {"reference": "MedicationRequest/other", "reason": "about another patient"} in ignored
    assert {"reference": "", "reason": NOT_IN_BUNDLE} in ignored


def test_what_was_not_used_is_told_of_an_order_that_is_none_of_our_business_too(saved):
    found = told(*DAY, saved(select(drafts(draft(subject={"reference": "Patient/pt-2"})))))
    assert (found["label"], found["rows"], found["cards"]) == ("", [], [])
    assert [each["reference"] for each in found["ignored"]] == ["MedicationRequest/draft-1"]


def test_draft_orders_that_are_absent_are_exit_2_and_one_line(saved):
    request = sign(drafts())
    del request["context"]["draftOrders"]
    one_line(run("explain", saved(request)), "scopes for unsigned orders")


@pytest.mark.parametrize(
    ("told_", "says"),
    [
        ('hook = "order-dispatch"', "hook: 'order-dispatch'"),
        ('hook = "order-sign"\n[[selected]]\nmedicine = "x"', "[[selected]]: unknown"),
    ],
)
def test_a_vignette_that_tells_of_an_order_we_do_not_know_is_refused(tmp_path: Path, told_, says):
    path = tmp_path / "vignette.toml"
    path.write_text(f'title = "x"\n{told_}\n')
    with pytest.raises(VignetteError) as error:
        read_vignette(path)
    assert says in str(error.value)


def test_a_hook_that_we_do_not_serve_is_told_as_such(saved):
    one_line(run("explain", saved(sign(drafts()) | {"hook": "order-dispatch"})), "hook: is not")
