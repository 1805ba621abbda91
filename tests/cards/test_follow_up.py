"""Follow-up with its days as one suggestion, and the entry of a problem list, where a site wants it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from cds_service.app import client_config
from cds_service.clinical.advice import PROBLEM as DRAFT_OF_PROBLEM
from cds_service.clinical.decide import decide, with_problem
from cds_service.content.content import load_content
from cds_service.content.files import cards_folder
from cds_service.evaluate import Evaluation
from cds_service.examples.vignettes import DEFAULT_DAY, Vignette
from cds_service.settings import Settings
from tests.book import play

LABEL = "Follow-up: the reviews and blood tests that go with this treatment"
PROBLEM = "Add vitamin B12 deficiency to the problem list"


def told(**more: Any) -> Vignette:
    labs = [
        {"analyte": "b12", "value": "120", "unit": "ng/L", "days_ago": 3},
        {"analyte": "haemoglobin", "value": "100", "unit": "g/L", "days_ago": 3},
    ]
    record = {"patient": {"sex": "male", "born": date(1970, 1, 1)}, "lab": labs, **more}
    return Vignette("told", "Told", DEFAULT_DAY, "uk-ng239", record, {})


def suggestion(answer: Evaluation, label: str) -> list[dict[str, Any]]:
    """What the suggestion of that label makes."""
    every = [each for card in answer.cards for each in card.get("suggestions", ())]
    return [action["resource"] for each in every if each["label"] == label for action in each["actions"]]


def at_site(folder: Path, drafts: str) -> Evaluation:
    (folder / "site.toml").write_text(f"[drafts]\n{drafts}\n", encoding="utf-8")
    content = load_content(cards_folder(), folder)
    return play(told(), client_config(Settings(demo=True, pathway="uk-ng239"), content))


def valid(resource: dict[str, Any]) -> bool:
    return bool(get_fhir_model_class(resource["resourceType"]).model_validate(resource))


def test_blood_counts_and_a_review_each_with_its_day():
    made = suggestion(play(told()), LABEL)
    assert all(valid(each) for each in made)
    assert [each["occurrenceDateTime"] for each in made] == ["2026-01-23", "2026-03-12", "2026-04-15"]


def test_a_blood_count_that_is_ordered_for_about_its_day_is_not_drafted_again():
    """One that names no day is for the day on which it was written; a count eight weeks later is another one."""
    now = {"orderable": "fbc", "days_ago": 1}
    later = {"orderable": "fbc", "days_ago": 1, "planned_days_ago": -60}
    texts = [each["code"]["text"] for each in suggestion(play(told(order=[now])), LABEL)]
    assert texts == ["Full blood count: response to B12", "Review of B12 treatment, 3 months after it began"]
    texts = [each["code"]["text"] for each in suggestion(play(told(order=[now, later])), LABEL)]
    assert texts == ["Review of B12 treatment, 3 months after it began"]


@pytest.mark.parametrize(("kind", "count"), [("Task", 3), ("CarePlan", 1)])
def test_a_site_follows_up_by_tasks_or_by_a_plan(tmp_path: Path, kind: str, count: int):
    made = suggestion(at_site(tmp_path, f'follow_up = "{kind}"'), LABEL)
    assert [each["resourceType"] for each in made] == [kind] * count
    assert all(valid(each) for each in made)


def test_a_deficiency_is_offered_for_the_problem_list_where_a_site_wants_it(tmp_path: Path):
    assert suggestion(play(told()), PROBLEM) == []
    (entry,) = suggestion(at_site(tmp_path, "problem_list = true"), PROBLEM)
    assert valid(entry)
    assert entry["verificationStatus"]["coding"][0]["code"] == "provisional"


def test_a_card_that_has_joined_what_tells_of_the_deficiency_offers_it_too():
    answer = play(told())
    pathway = client_config(Settings(demo=True, pathway="uk-ng239"), load_content(cards_folder())).pathway
    telling = next(each for each in decide(answer.assessment, pathway).advice if each.row == "interpret/deficient")
    joined = replace(telling, row="safety/S1", joined=(telling.row,))
    (offering,) = with_problem([joined])
    assert [draft.kind for draft in offering.drafts] == [*(draft.kind for draft in telling.drafts), DRAFT_OF_PROBLEM]
    (silent,) = with_problem([replace(joined, joined=())])
    assert silent.drafts == telling.drafts
