"""A patient of one's own, entered in a few strokes; and the orders that were accepted, down to their signing."""

from __future__ import annotations

import json
import re

import pytest
from werkzeug.test import TestResponse

from tests.pages.visiting import HERE, HOSTILE, Visitor, fields, label, summaries

B12 = {"b12-value": "150", "b12-unit": "ng/L"}


def entered(visitor: Visitor, **more: str) -> TestResponse:
    """The blank form with these fields."""
    blank = fields(visitor.get("/"), "mine")
    return visitor.post("/", blank | {name.replace("_", "-"): value for name, value in more.items()})


def held(page: TestResponse) -> list[str]:
    return re.findall(r'class="yes">✓ holds</span> <code>(?:<a [^>]*>)?([^<]+)', page.text)


def test_the_start_is_blank(visitor: Visitor):
    page = visitor.get("/")
    assert page.status_code == 200
    assert summaries(page) == []
    assert "Enter a B12, tick a symptom" in page.text


def test_a_value_and_a_symptom_are_enough(visitor: Visitor):
    page = entered(visitor, **B12, **{"has-paraesthesia": "1", "since-paraesthesia": "30"})
    assert label(page) == "confirmed"
    assert {"interpret/deficient", "treat/neuro"} <= set(held(page))
    again = fields(page, "mine")
    assert (again["b12-value"], again["age"]) == ("150", "55"), "what was entered still stands there"


def test_asked_in_place_only_what_is_exchanged_is_sent(visitor: Visitor):
    blank = fields(visitor.get("/"), "mine")
    page = visitor.post("/", blank | B12, Origin=HERE, Sec_Fetch_Site="same-origin", X_In_Place="parts")
    assert label(page) == "confirmed"
    assert 'id="answer"' in page.text and 'id="rest"' in page.text and 'class="mine"' not in page.text
    wrong = visitor.post("/", blank | {"age": "x"}, Origin=HERE, Sec_Fetch_Site="same-origin", X_In_Place="parts")
    assert 'class="mine"' in wrong.text, "a form with faults comes back whole"


def test_the_unit_decides(visitor: Visitor):
    assert label(entered(visitor, b12_value="150", b12_unit="pmol/L")) == "indeterminate"
    assert label(entered(visitor, b12_value="150", b12_unit="ng/L")) == "confirmed"


def test_injections_are_given_as_a_schedule(visitor: Visitor):
    schedule = {"inj-medicine": "hydroxocobalamin", "inj-number": "6", "inj-last": "20", "inj-every": "90"}
    page = entered(visitor, **{"has-pernicious-anaemia": "1", "since-pernicious-anaemia": "1095"}, **schedule)
    request = json.loads(fields(page, "state")["request"])
    assert len(request["prefetch"]["administrations"]["entry"]) == 6
    assert label(page) != label(visitor.get("/"))


def test_an_order_makes_it_the_call_about_that_order(visitor: Visitor):
    page = entered(visitor, **B12, order="medicine:folic-acid")
    assert json.loads(fields(page, "state")["request"])["hook"] == "order-select"
    assert summaries(page)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("age", "40,5", "Age: allowed are whole years"),
        ("b12-value", "1,234", "can be read in two ways"),
        ("b12-value", HOSTILE, "allowed is a number"),
        ("b12-ago", "-1", "allowed are whole numbers from 0"),
        ("inj-number", "600", "allowed are whole numbers from 1 to 60"),
        ("order", "medicine:none", "allowed is what the list offers"),
    ],
)
def test_what_cannot_be_used_is_named_and_stays(visitor: Visitor, field: str, value: str, said: str):
    sent = B12 | {"inj-medicine": "hydroxocobalamin", field: value}
    page = visitor.post("/", fields(visitor.get("/"), "mine") | sent)
    assert page.status_code == 400
    assert said in page.text
    assert HOSTILE not in page.text
    if field != "order":
        assert fields(page, "mine")[field] == value
    assert summaries(page) == []


def test_nothing_of_the_patient_is_in_an_address(visitor: Visitor):
    page = entered(visitor, **B12, age="63")
    assert not re.search(r'(?:href|action)="[^"]*(?:63|150)[^"]*"', page.text.replace("mg239", ""))


# --- The order tray


def accepted(visitor: Visitor, page: TestResponse, name: str) -> TestResponse:
    """The page after Accept was pressed at the suggestion of that name."""
    value = re.search(rf'<strong>[^<]*{name}.*?name="accept" value="([^"]+)"', page.text, re.DOTALL)[1]
    return visitor.post("/feedback", fields(page, "state") | {"accept": value})


def in_tray(page: TestResponse) -> list[str]:
    inside = page.text.partition('class="tray"')[2].partition("</section>")[0]
    return re.findall(r"</span> <strong>(.*?)</strong>", inside)


def test_accept_puts_a_readable_draft_into_the_tray_and_the_button_says_so(visitor: Visitor):
    page = entered(visitor, **B12, **{"has-paraesthesia": "1"})
    after = accepted(visitor, page, "Hydroxocobalamin")
    (title,) = in_tray(after)
    assert "ydroxocobalamin" in title
    tray = after.text.partition('class="tray"')[2]
    assert "1 mg intramuscularly on alternate days" in tray
    assert "✓ In the order tray" in after.text
    assert "Show FHIR" in tray
    assert fields(after, "mine")["b12-value"] == "150", "the form is as it was"


def test_remove_takes_it_out_and_sign_asks_about_what_is_left(visitor: Visitor):
    page = entered(visitor, **B12, **{"has-paraesthesia": "1"})
    both = accepted(visitor, accepted(visitor, page, "Hydroxocobalamin"), "Ferritin")
    assert len(in_tray(both)) == 2
    one = visitor.post("/tray", fields(both, "state") | {"remove": "1"})
    assert len(in_tray(one)) == 1
    signed = visitor.post("/tray", fields(one, "state") | {"sign": "1"})
    request = json.loads(fields(signed, "state")["request"])
    assert request["hook"] == "order-sign"
    (entry,) = request["context"]["draftOrders"]["entry"]
    assert entry["resource"]["resourceType"] == "MedicationRequest"
    assert "What comes when these orders are signed" in signed.text
    assert "Signed: the service was asked" in signed.text


def test_signing_what_must_not_be_signed_is_answered_with_the_card(visitor: Visitor):
    page = entered(visitor, **B12, order="medicine:folic-acid")
    draft = json.loads(fields(page, "state")["request"])["context"]["draftOrders"]["entry"][0]["resource"]
    signed = visitor.post("/tray", fields(page, "state") | {"tray": json.dumps([draft]), "sign": "1"})
    assert 'class="card critical"' in signed.text or 'class="card warning"' in signed.text


@pytest.mark.parametrize(
    "tray", ["[", "{}", "[1]", '[{"resourceType": "Patient"}]', '[{"resourceType": "ServiceRequest"}]']
)
def test_an_odd_tray_breaks_nothing(visitor: Visitor, tray: str):
    state = fields(entered(visitor, **B12), "state")
    for button in ({"remove": "0"}, {"sign": "1"}):
        assert visitor.post("/tray", state | {"tray": tray} | button).status_code in (200, 400)


# --- What if


def test_the_strip_of_b12_changes_at_the_limits_and_shows_how_loud(visitor: Visitor):
    form = fields(visitor.get("/"), "mine") | B12 | {"has-paraesthesia": "1", "vary": "b12"}
    page = visitor.post("/what-if", form)
    assert page.status_code == 200
    parts = re.findall(r'<rect class="loud (\w+)" x="([\d.]+)%" width="([\d.]+)%"', page.text)
    assert len(parts) >= 3
    assert sum(float(width) for _, _, width in parts) == pytest.approx(100, abs=0.5)
    assert "180 ng/L" in page.text and "350 ng/L" in page.text
    assert parts[0][0] in ("warning", "critical")
    assert "<strong>0 to 179 ng/L</strong>" in page.text and "<strong>180 to 350 ng/L</strong>" in page.text


@pytest.mark.parametrize("varied", ["mma", "mcv", "inj-last"])
def test_other_numbers_can_be_varied_too(visitor: Visitor, varied: str):
    schedule = {"inj-medicine": "hydroxocobalamin", "inj-number": "3", "inj-every": "90"}
    form = fields(visitor.get("/"), "mine") | {"b12-value": "240", "b12-unit": "ng/L"} | schedule | {"vary": varied}
    assert len(re.findall('class="loud ', visitor.post("/what-if", form).text)) >= 1


def test_what_cannot_be_varied_is_refused(visitor: Visitor):
    form = fields(visitor.get("/"), "mine") | {"vary": "patient"}
    assert visitor.post("/what-if", form).status_code == 400
