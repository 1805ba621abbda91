"""A test that is ordered already is not suggested, and whoever asks is told that this is why (issue 5, part 5)."""

from __future__ import annotations

import io
from typing import Any

from cds_service.commands.display import console, show_explanation
from cds_service.explanation import explanation
from cds_service.store.records import Suppressed
from tests.book import service
from tests.hooks.living import bundle, observation, prefetch, problem
from tests.hooks.ordering import draft, drafts, lab_draft, select
from tests.hooks.test_remembered import DEFICIENT, NOW, told

FULL_BLOOD_COUNT = "58410-2"
LEFT = Suppressed("test:fbc", "ordered", NOW.date())


def blood_count(**changed: Any) -> dict[str, Any]:
    """An order of a full blood count of three days ago."""
    code = {"coding": [{"system": "http://loinc.org", "code": FULL_BLOOD_COUNT}]}
    order = {"resourceType": "ServiceRequest", "id": "order-1", "status": "active", "intent": "order", "code": code}
    return {**order, "subject": {"reference": "Patient/pt-1"}, "authoredOn": "2026-01-12", **changed}


def offered(found: Any) -> set[str]:
    return {each.draft for each in found.offered}


def test_a_test_that_is_ordered_already_is_left_out_and_named():
    found = told(**DEFICIENT, orders=bundle(blood_count()))
    assert found.suppressed == (LEFT,), "once, however many rows would have suggested it"
    assert offered(told(**DEFICIENT)) - offered(found) == {"fbc"}
    document = explanation(found, service("uk-ng239"), NOW.date())
    assert document["suppressed"] == [{"what": "test:fbc", "why": "ordered", "on": "2026-01-15"}]
    out = io.StringIO()
    show_explanation(console(out), document)
    assert "test:fbc" in out.getvalue() and "ordered already, as of 2026-01-15" in out.getvalue()


def test_a_test_that_is_among_the_drafts_of_the_call_is_left_out_and_named():
    sent = prefetch(b12=bundle(), conditions=bundle(problem()))  # paraesthesia, and no B12 yet
    medicine = draft()  # folic acid
    alone = told(hook="order-select", sent=select(drafts(medicine), prefetch=sent))
    assert offered(alone) == {"b12-total", "fbc", "folic acid"} and alone.suppressed == ()
    with_test = select(drafts(medicine, lab_draft()), "MedicationRequest/draft-1", prefetch=sent)
    found = told(hook="order-select", sent=with_test)
    assert offered(found) == {"fbc", "folic acid"}
    assert found.suppressed == (Suppressed("test:b12-total", "ordered", NOW.date()),)


def test_a_test_that_is_done_is_not_called_ordered():
    done = bundle(observation("718-7", 131, "g/L"), observation("787-2", 90, "fL"))
    found = told(**DEFICIENT, bloodCount=done)
    assert found.suppressed == () and "fbc" not in offered(found)


def test_an_order_that_is_over_or_on_hold_leaves_nothing_out():
    for status in ("completed", "revoked", "on-hold", "draft"):
        assert told(**DEFICIENT, orders=bundle(blood_count(status=status))).suppressed == ()
