"""Of whom a page speaks: our own invented patient only where it is one, and who else where it is not."""

from __future__ import annotations

import json
import re

from werkzeug.test import TestResponse

from tests.fhir import loopback
from tests.hooks.living import PATIENT, bundle, fhir_server
from tests.pages.visiting import AT_180, Visitor, fields

SHIPPED, CHANGED, BROUGHT = (
    "Invented patient, as shipped",
    "with values changed on the page",
    "Data that somebody brought",
)


def words(page: TestResponse) -> str:
    """The text of a page without its elements."""
    return " ".join(re.sub(r"<[^>]+>", " ", page.text).split())


def printed(visitor: Visitor, page: TestResponse) -> str:
    """What is printed of a page."""
    found = visitor.post("/evidence", fields(page, "state"))
    assert found.status_code == 200
    return words(found)


def test_a_shipped_patient_is_called_invented_and_named(visitor: Visitor):
    told = printed(visitor, visitor.get(AT_180))
    assert SHIPPED in told
    assert "Vegan with fatigue and 180 ng/L" in told
    assert "Patient pt-1, female, 50 years" in told
    assert "total B12 180 ng/L, 10 Jan 2026" in told


def test_an_unchanged_form_still_shows_the_patient_as_shipped(visitor: Visitor):
    for path in (AT_180, "/?patient=renal"):
        assert SHIPPED in printed(visitor, visitor.post("/", fields(visitor.get(path))))


def test_a_changed_value_is_printed_and_the_patient_no_longer_called_as_shipped(visitor: Visitor):
    changed = visitor.post("/", fields(visitor.get(AT_180)) | {"lab-0-value": "179", "age": "61"})
    told = printed(visitor, changed)
    assert CHANGED in told and SHIPPED not in told
    assert "total B12 179 ng/L, 10 Jan 2026" in told
    assert "61 years" in told
    assert "total B12 179 ng/L, 10 Jan 2026" in words(changed), "the playground's own print has it as well"


def test_what_was_pasted_is_never_called_invented(visitor: Visitor):
    request = json.loads(fields(visitor.get("/?patient=renal"), "state")["request"])
    request["context"]["patientId"] = request["prefetch"]["patient"]["id"] = "real-7"
    page = visitor.post("/", {"pasted": json.dumps(request).replace("Patient/renal", "Patient/real-7")})
    told = printed(visitor, page)
    assert BROUGHT in told and "nvented patient" not in told
    assert "Patient real-7" in told


def test_the_cards_about_a_patient_of_a_fhir_server_say_whose_they_are(visitor: Visitor):
    named = PATIENT | {"name": [{"given": ["Ada"], "family": "Example"}], "gender": "female", "birthDate": "1951-03-09"}
    answers = fhir_server() | {"/fhir/Patient": loopback.fhir(bundle(named))}
    with loopback.serving(answers) as server:
        found = visitor.post("/fhir", {"base": server.base, "name": "Ada"})
        assert '<input type="hidden" name="person" value="Ada Example">' in found.text
        page = visitor.post("/fhir/cards", {"base": server.base, "patient": "pt-1", "person": "Ada Example"})
        told = printed(visitor, page)
    whose = words(page).partition("3. What the clinician sees")[2][:200]
    assert whose.strip().startswith("Ada Example : patient pt-1, ")
    assert server.base in whose
    assert BROUGHT in told and server.base in told


def test_the_refusal_of_a_base_says_who_allows_it_and_by_which_setting(visitor: Visitor):
    page = visitor.post("/fhir", {"base": "https://fhir.example.org/r4", "name": "x"})
    said = words(page).partition("allowed FHIR bases")[2]
    assert "The operator of this service allows it with CDS_FHIR_BASES=https://fhir.example.org/r4" in said
    other = visitor.post("/fhir", {"base": "file:///etc/passwd", "name": "x"})
    assert "allows it with" not in words(other)


def test_a_card_names_the_source_of_its_own_row_and_its_grade(visitor: Visitor):
    card = visitor.get("/?patient=renal").text.partition("<article")[2].partition("</article>")[0]
    told = " ".join(re.sub(r"<[^>]+>", " ", card).split())
    assert "Source of this card: " in told
    assert re.search(r"rests on [a-z]+/[a-z0-9-]+ : .+? (primary|secondary|design) \(.*?\), checked 20", told)


def test_a_developer_saves_the_request_before_sending_it_and_learns_what_else_there_is(visitor: Visitor):
    wire = visitor.get("/").text.partition('id="wire"')[2]
    assert wire.index("Save the request as request.json") < wire.index("--data-binary @request.json")
    assert "In the folder where it was saved" in wire
    for told in (
        "prefetch",
        "fhirServer",
        "/cds-services/b12-patient-view/feedback",
        "deploy/README.md",
        "a token (JWT)",
    ):
        assert told in wire
    assert visitor.get(re.search(r'href="(/openapi\.json)"', wire)[1]).status_code == 200
