"""What must hold of orders for every patient (design.md 8): our own advice, once taken, is not held against anybody."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from functools import cache

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.api import (
    NAMES,
    Decision,
    Draft,
    Order,
    OrderedPhase,
    PatientRecord,
    ReadFor,
    assess,
    build_drafts,
    decide,
    decide_orders,
    read_drafted,
)
from tests.book import PATHWAYS, content
from tests.clinical.patients import TODAY, records

SEVERE = ("warning", "critical")


@cache
def returned(pathway: str, draft: Draft) -> tuple[Order, ...]:
    """Our own draft, written as FHIR and read back as an order."""
    templates = build_drafts(content(), content().pathways[pathway])
    make = templates.test if draft.kind == "test" else templates.medicine
    bundle = {"resourceType": "Bundle", "entry": [{"resource": make(draft.id, "Patient/p", draft.id, TODAY)}]}
    raw = msgspec.Raw(msgspec.json.encode(bundle))
    pathway_content = content().pathways[pathway]
    return read_drafted(raw, None, ReadFor("p", content(), pathway_content, TODAY, UTC)).selected


def judged(record: PatientRecord, pathway: str, selected: list[Draft], beside: list[Draft] = []) -> Decision:  # noqa: B006
    """The decision on these drafts of ours."""
    orders = [tuple(order for draft in drafts for order in returned(pathway, draft)) for drafts in (selected, beside)]
    asked = replace(record, selected=orders[0], beside=orders[1])
    known = content().pathways[pathway]
    return decide_orders(assess(asked, known, TODAY), known)


def severe(decision: Decision) -> list[str]:
    """The rows that warn; but a draft stays beside an allergy to cobalt alone, and S4 warns of it (6.1)."""
    cobalt = {("safety/S4", "warning")} if "cobalt_allergy" in decision.findings else set()
    warned = [each for each in decision.advice if each.indicator in SEVERE]
    return [each.row for each in warned if (each.row, each.indicator) not in cobalt]


@pytest.mark.parametrize("pathway", PATHWAYS)
@given(records())
def test_our_own_drafts_sent_back_raise_no_warning_or_critical_card(pathway, record):
    known = content().pathways[pathway]
    drafts = [draft for each in decide(assess(record, known, TODAY), known).advice for draft in each.drafts]
    tests = [draft for draft in drafts if draft.kind == "test"]
    medicines = [draft for draft in drafts if draft.kind == "medicine"]
    assert severe(judged(record, pathway, tests)) == []
    for medicine in medicines:  # two regimens are alternatives
        assert severe(judged(record, pathway, [medicine])) == []
        assert severe(judged(record, pathway, [medicine, *tests])) == []
        assert severe(judged(record, pathway, [medicine], tests)) == []


@pytest.mark.parametrize("pathway", PATHWAYS)
@given(records(), st.data())
def test_what_replaces_an_order_raises_no_warning_or_critical_card(pathway, record, data):
    orders = tuple(data.draw(st.lists(orders_of_b12, min_size=1, max_size=2, unique_by=lambda each: each.reference)))
    known = content().pathways[pathway]
    decision = decide_orders(assess(replace(record, selected=orders), known, TODAY), known)
    for draft in {replace(draft, replaces="") for each in decision.advice for draft in each.drafts if draft.replaces}:
        assert severe(judged(record, pathway, [draft])) == []


amounts = st.sampled_from([None, 25, 50, 500, 1000, 2000])
intervals = st.sampled_from([None, 1, 2, 3, 7, 30, 61, 91])
lengths = st.sampled_from([None, 7, 14, 21, 60])
phases = st.builds(OrderedPhase, amounts, intervals, lengths, st.booleans())
orders_of_b12 = st.builds(
    lambda reference, ingredient, route, given: Order(f"MedicationRequest/{reference}", ingredient, "", route,
                                                      given[0].dose if given else None, tuple(given)),
    st.integers(1, 9),
    st.sampled_from(["cyanocobalamin", "hydroxocobalamin", "mecobalamin"]),
    st.sampled_from(["im", "oral", "injection", "sublingual", ""]),
    st.lists(phases, max_size=3),
)  # fmt: skip
other_orders = st.one_of(
    st.builds(
        lambda ingredient, per_day: Order(f"MedicationRequest/{ingredient}", ingredient, per_day=per_day),
        st.sampled_from(["folic-acid", "metformin", "omeprazole", "nitrous-oxide", "chloramphenicol"]),
        st.sampled_from([None, 400, 5000]),
    ),
    st.builds(lambda test: Order(f"ServiceRequest/{test}", orderable=test), st.sampled_from(["b12-total", "mma"])),
)
any_order = st.one_of(orders_of_b12, other_orders)


@pytest.mark.parametrize("pathway", PATHWAYS)
@given(records(), st.lists(any_order, min_size=1, max_size=3), st.lists(any_order, max_size=2))
def test_every_order_is_judged_without_a_placeholder_left_or_a_finding_unknown(pathway, record, selected, beside):
    known = content().pathways[pathway]
    asked = replace(record, selected=tuple(selected), beside=tuple(beside))
    decision = decide_orders(assess(asked, known, TODAY), known)
    assert set(decision.findings) <= NAMES
    assert all(finding.because for finding in decision.findings.values())
    for advice in decision.advice:
        assert "{" not in advice.summary + advice.detail
        assert len(advice.summary.encode("utf-16-le")) // 2 <= 139
    withheld = {"cobalamin_hypersensitivity", "no_medicine_draft"} | (
        {"cobalt_allergy"} if pathway == "us-aafp" else set()
    )
    allergic = withheld & set(decision.findings)
    medicines = [draft for each in decision.advice for draft in each.drafts if draft.kind == "medicine"]
    assert not (allergic and medicines)


@pytest.mark.parametrize("pathway", PATHWAYS)
@given(records(), st.lists(any_order, min_size=2, max_size=3), st.data())
def test_the_order_of_the_orders_changes_no_row_and_no_indicator(pathway, record, selected, data):
    known = content().pathways[pathway]
    told = []
    for orders in (selected, data.draw(st.permutations(selected))):
        decision = decide_orders(assess(replace(record, selected=tuple(orders)), known, TODAY), known)
        told.append(sorted((each.row, each.indicator) for each in decision.advice))
    assert told[0] == told[1]
