"""The playground: every example patient is shown, a change of one value changes the answer, and feedback is kept."""

from __future__ import annotations

import json
import re
from datetime import date
from itertools import pairwise

import pytest
from werkzeug.test import TestResponse

from cds_service.examples.fixture_patients import patients_folder, read_patient, resources
from tests.pages.visiting import AT_180, Visitor, fields, label, summaries

RECORDS = sorted(path.stem for path in patients_folder().glob("*.json"))


def rows(page: TestResponse) -> list[str]:
    """The rows that held."""
    return re.findall(r'class="yes">✓ holds</span> <code>(?:<a [^>]*>)?([^<]+)', page.text)


def name_of(page: TestResponse, legend: str) -> str:
    """The beginning of the field names of a row, by its legend."""
    return re.search(rf"<legend>{re.escape(legend)}.*?id=\"([a-z]+-\d+)-", page.text, re.DOTALL)[1]


@pytest.mark.parametrize("name", RECORDS)
def test_every_fixture_patient_is_shown_and_the_unchanged_form_says_the_same(visitor: Visitor, name: str):
    first = visitor.get(f"/?patient={name}")
    assert first.status_code == 200
    assert label(first)
    again = visitor.post("/", fields(first))
    assert again.status_code == 200, again.text
    assert (summaries(again), label(again), rows(again)) == (summaries(first), label(first), rows(first))


@pytest.mark.parametrize("words", ["metformin", "pregnan", "order", "nitrous", "antibod"])
def test_an_unchanged_form_says_the_same_of_vignettes(visitor: Visitor, words: str):
    found = re.findall(r'href="(/\?patient=[^"]+)"', visitor.get(f"/examples?words={words}").text)
    assert len(found) > 3
    for path in found[:: max(len(found) // 6, 1)]:
        first = visitor.get(path.replace("&amp;", "&"))
        again = visitor.post("/", fields(first))
        assert (summaries(again), label(again), rows(again)) == (summaries(first), label(first), rows(first)), path


def test_one_nanogram_less_is_deficient(visitor: Visitor):
    first = visitor.get(AT_180)
    assert label(first) == "indeterminate"
    changed = visitor.post("/", fields(first) | {f"{name_of(first, 'total B12')}-value": "179"})
    assert label(changed) == "confirmed"
    assert "179 ng/L" in summaries(changed)[0]


def test_another_unit_is_judged_in_that_unit(visitor: Visitor):
    first = visitor.get(AT_180)
    name = name_of(first, "total B12")
    for value, said in (("133", "indeterminate"), ("132", "confirmed")):
        changed = visitor.post("/", fields(first) | {f"{name}-value": value, f"{name}-unit": "pmol/L"})
        assert label(changed) == said
        assert f"{value} pmol/L" in summaries(changed)[0]


def test_a_result_that_is_left_out_is_gone_and_one_that_is_added_counts(visitor: Visitor):
    first = visitor.get("/?patient=uk-ng239/01-deficient-vegan")
    without = visitor.post("/", fields(first) | {f"{name_of(first, 'total B12')}-drop": "1"})
    assert label(without) == "not-tested"
    added = {"new-lab-0-analyte": "b12", "new-lab-0-value": "100", "new-lab-0-unit": "pmol/L"}
    assert label(visitor.post("/", fields(without) | added)) == "confirmed"


def test_symptoms_medicines_and_pregnancy_can_be_added(visitor: Visitor):
    first = visitor.get(AT_180)
    added = {
        "new-problem-0-concept": "pregnancy",
        "new-problem-0-day": "2026-01-05",
        "sex": "female",
        "age": "30",
        "new-medicine-0-ingredient": "metformin",
        "new-medicine-0-day": "2020-01-01",
    }
    changed = visitor.post("/", fields(first) | added)
    assert "<code>pregnant</code>" in changed.text
    assert "<code>pregnant</code>" not in first.text
    assert "metformin (ordered)" in " ".join(re.sub(r"<[^>]+>", "", changed.text).split())


def test_a_draft_order_makes_it_the_call_of_an_order_hook(visitor: Visitor):
    first = visitor.get("/?patient=uk-ng239/01-deficient-vegan")
    ordered = visitor.post("/", fields(first) | {"order": "medicine:folic-acid"})
    request = json.loads(fields(ordered)["request"])
    assert request["hook"] == "order-select"
    assert request["context"]["selections"] == ["MedicationRequest/draft-1"]
    assert "Folic acid" in summaries(ordered)[0]
    closed = visitor.post("/", fields(ordered) | {"order": "none"})
    assert summaries(closed) == summaries(first)


def test_the_answer_to_copy_is_what_the_service_answers(visitor: Visitor):
    page = visitor.get("/")
    body = fields(page, "state")["request"]
    answer = visitor.client.post(
        "/cds-services/b12-patient-view",
        data=body,
        content_type="application/json",
        environ_overrides={"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "127.0.0.1:8000"},
    )
    assert [card["uuid"] for card in answer.json["cards"]] == re.findall(r'<h3 id="card-([^"]+)">', page.text)
    saved = visitor.post("/request.json", fields(page, "state"))
    assert saved.headers["Content-Disposition"].startswith("attachment")
    assert saved.data.decode() == body


def buttons(page: TestResponse, name: str) -> list[str]:
    return re.findall(rf'form="state" name="{name}" value="([^"]+)"', page.text)


def test_an_override_is_kept_and_remembered_for_this_visit_only(visitor: Visitor):
    first = visitor.post("/", fields(visitor.get("/?patient=dietary")))
    (card, *_), state = buttons(first, "override"), fields(first, "state")
    kept = visitor.post("/feedback", state | {"override": card, f"reason-{card}": "patient-refuses"})
    assert "✕ Overridden (reason: patient-refuses): the store has it" in kept.text
    assert summaries(kept) == summaries(first), "the cards stay as they were answered"
    again = visitor.post("/", fields(kept, "state"))
    assert len(summaries(again)) < len(summaries(first))
    assert "was dismissed on 2026-11-21" in again.text
    somebody_else = visitor.get("/?patient=dietary")
    assert summaries(visitor.post("/", fields(somebody_else))) == summaries(first)


def test_an_accepted_suggestion_is_kept_with_the_decision(visitor: Visitor):
    first = visitor.get("/?patient=neuro-metformin")
    kept = visitor.post("/feedback", fields(first, "state") | {"accept": buttons(first, "accept")[0]})
    assert "✓ Accepted: the store has it" in kept.text
    history = kept.text.partition('id="history"')[2].partition("</section>")[0]
    assert "accepted, 1 suggestion" in history
    assert "interpret/deficient" in history
    twice = visitor.post("/feedback", fields(kept, "state") | {"accept": buttons(first, "accept")[1]})
    assert twice.text.count("<dt>Stored at</dt>") == 1, "the decision is stored once"


@pytest.mark.parametrize("sent", [{"accept": "x|y"}, {"override": "x"}, {}])
def test_feedback_on_a_card_that_is_not_there_is_refused(visitor: Visitor, sent: dict[str, str]):
    state = fields(visitor.get("/"), "state")
    assert visitor.post("/feedback", state | sent).status_code == 400


def test_examples_are_found_by_words_pathway_and_hook(visitor: Visitor):
    assert visitor.get("/examples").text.count('<li><a href="/?patient=') == 100
    only = visitor.get("/examples?words=pregnant&pathway=us-aafp&hook=patient-view").text
    assert "us-aafp/" in only and "uk-ng239/" not in only
    assert "0 found" in visitor.get("/examples?words=zzz").text
    assert visitor.get("/?patient=nobody").status_code == 404


def test_data_that_cannot_be_had_is_said_and_is_no_empty_list(visitor: Visitor):
    request = json.loads(fields(visitor.get("/"), "state")["request"])
    del request["prefetch"]["b12"]
    page = visitor.post("/", {"pasted": json.dumps(request)})
    assert "required data is missing" in page.text
    assert "status 412" in page.text


@pytest.mark.parametrize(
    "query, found",
    [
        ("words=interpret/deficient&pathway=uk-ng239", "uk-ng239/01-deficient-vegan"),
        ("words=nitrous&label=functional-suspected", "uk-ng239/"),
        ("hook=order-sign&words=S2", "order-sign"),
        ("words=years of results", "renal"),
    ],
)
def test_examples_are_found_by_row_label_hook_and_story(visitor: Visitor, query: str, found: str):
    page = visitor.get(f"/examples?{query}")
    assert page.status_code == 200
    assert found in page.text.partition('<ul class="found">')[2]


def test_a_facet_says_how_many_there_are(visitor: Visitor):
    page = visitor.get("/examples?words=pernicious&pathway=uk-ng239")
    offered = re.findall(r'<option value="([a-z-]+)">[a-z-]+ \((\d+)\)</option>', page.text)
    assert len(offered) >= 4
    for value, count in offered:
        if value == "on-treatment":
            narrowed = visitor.get(f"/examples?words=pernicious&pathway=uk-ng239&label={value}")
            assert f"{count} found" in narrowed.text


def given_on(resource: dict) -> date | None:
    """The day of an injection, or None for what is none."""
    text = resource.get("effectiveDateTime") or resource.get("effectivePeriod", {}).get("start", "")
    return date.fromisoformat(text[:10]) if resource["resourceType"] == "MedicationAdministration" else None


def test_at_least_four_of_the_ten_records_have_years_of_results_injections_and_a_lapse():
    """Injections months apart, then a gap of more than half a year, and results over years."""
    found = []
    for path in sorted(patients_folder().glob("*.json")):
        every = list(resources(read_patient(path, date(2026, 1, 15))))
        doses = sorted(given_on(each) for each in every if "Hydroxocobalamin" in str(each) and given_on(each))
        tests = [each.get("effectiveDateTime", "")[:10] for each in every if "haemoglobin" in each["id"]]
        gap = max(((b - a).days for a, b in pairwise([*doses, date(2026, 1, 15)])), default=0)
        span = (date.fromisoformat(max(tests)) - date.fromisoformat(min(tests))).days if any(tests) else 0
        if len(doses) >= 9 and gap > 183 and span > 2.5 * 365:
            found.append(path.stem)
    assert len(found) >= 4, found
