"""`watch due` finds whom to recall: overdue, lapsed, coded without treatment, over the vignettes of these courses."""

from __future__ import annotations

import pytest

from cds_service.watch.tasks import RECALLS, Standing
from tests.api import row_name
from tests.book import PATHWAYS, book, content, service
from tests.depth import chosen
from tests.watch.patients import watcher
from tests.watch.vignettes import asked, stored

COURSES = ("overdue", "lapsed", "coded-untreated")
TOLD = {
    course: [
        vignette
        for pathway in PATHWAYS
        for vignette in book(pathway)
        if vignette.expect.get("course") == course and vignette.hook == "patient-view" and not vignette.overlay
        and not any(name in vignette.fields for name in ("unavailable", "incomplete"))
    ]
    for course in COURSES
}  # fmt: skip
VIGNETTES = [each for course in COURSES for each in TOLD[course][: chosen(2, 1_000)]]


def test_every_row_that_recalls_is_one_of_the_course():
    for pathway in content().pathways.values():
        assert set(RECALLS) <= {row_name(row) for row in pathway.course}
    assert all(TOLD.values())


@pytest.mark.parametrize("vignette", VIGNETTES, ids=lambda vignette: f"{vignette.pathway}/{vignette.name}")
def test_whoever_is_to_be_recalled_gets_a_task(vignette, tmp_path):
    body, answer = asked(vignette, "http://127.0.0.1:1/fhir")
    store = stored(body, vignette)
    coded = any(each["resourceType"] == "Condition" and "coding" in each["code"] for each in store.resources.values())
    with watcher(store, tmp_path, client=service(vignette.pathway)) as watching:
        watching.note_due()
        watching.work()
        found = watching.counts["candidates"]
    recalled = {each.row for each in answer.shown} & set(RECALLS)
    assert found or not coded, "no search of the daily run finds this patient"
    if recalled and found:
        (task,) = store.tasks
        assert recalled <= set(Standing(task).rows)
