"""Promise 8 for the watcher: over all vignettes its Task has the words, rows and drafts of the patient-view answer."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api import PATIENT, Evaluation, overlay_folder
from tests.book import PATHWAYS, book, service
from tests.depth import chosen
from tests.watch.patients import watcher
from tests.watch.vignettes import asked, stored

Json = dict[str, Any]
# What a FHIR server cannot be made to do here: a page that is announced and not there, a key that never came.
TELL_OF_PREFETCH = ("unavailable", "incomplete")
ALL = [
    vignette
    for pathway in PATHWAYS
    for vignette in book(pathway)
    if vignette.hook == "patient-view" and not any(name in vignette.fields for name in TELL_OF_PREFETCH)
]
VIGNETTES = ALL[:: chosen(16, 1)]


def said(answer: Evaluation) -> Json:
    """What a patient-view answers, as it stands on a Task."""
    actions = [
        action
        for card in answer.cards
        for suggestion in card.get("suggestions", ())
        for action in suggestion["actions"]
        if action["type"] == "create"
    ]
    return {
        "words": [(card["summary"], card["detail"]) for card in answer.cards],
        "rows": [each.row for each in answer.shown],
        "drafts": [{**action["resource"], "id": ""} for action in actions],
        "labels": [action["description"] for action in actions],
    }


def written(task: Json) -> Json:
    """What a Task says, in the same form."""
    parts = task["description"].split("\n\n---\n\n")
    if "drafts in this Task" in parts[-1]:  # the last part lists the tests, which a card shows as its suggestions
        parts.pop()
    kinds = [each["type"]["coding"][0]["code"] for each in task["input"]]
    drafts = [each for each, kind in zip(task["input"], kinds, strict=True) if kind == "draft"]
    contained = {f"#{each['id']}": each for each in task.get("contained", ())}
    return {
        "words": [tuple(part.split("\n\n", 1)) for part in parts],
        "rows": [each["valueString"] for each, kind in zip(task["input"], kinds, strict=True) if kind == "row"],
        "drafts": [{**contained[each["valueReference"]["reference"]], "id": ""} for each in drafts],
        "labels": [each["type"]["text"] for each in drafts],
    }


@pytest.mark.parametrize("vignette", VIGNETTES, ids=lambda vignette: f"{vignette.pathway}/{vignette.name}")
def test_the_task_says_what_the_patient_view_says(vignette, tmp_path):
    body, answer = asked(vignette, "http://127.0.0.1:1/fhir")
    store = stored(body, vignette)
    config = service(vignette.pathway, overlay_folder(vignette))
    with watcher(store, tmp_path, client=config, least="info") as watching:
        watching.hint([PATIENT])
        watching.work()
    if answer.cards:
        (task,) = store.tasks
        assert written(task) == said(answer)
    else:
        assert store.tasks == []
