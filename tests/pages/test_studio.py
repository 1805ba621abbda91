"""The content studio: what it changes, what it says of it, and that the zip does what the printed page says."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from zipfile import ZipFile

import pytest

from cds_service.app import client_config, create_app
from cds_service.content.content import load_content
from cds_service.content.difference import difference
from cds_service.content.files import cards_folder, shipped_folder
from cds_service.examples.vignettes import Vignette
from cds_service.settings import Settings
from cds_service.site_trial import Baseline, played
from tests.pages.visiting import HERE, Visitor, fields

BATH = shipped_folder("fixtures", holding="sites") / "sites" / "ruh-bath"
DEFICIENT = "/content/edit?row=interpret/deficient"
CODE = {"code_set": "lab-b12", "code_system": "http://loinc.org", "code_code": "1", "code_display": "x"}
HERE_AND_NOW = {"Origin": HERE, "Sec_Fetch_Site": "same-origin"}


@pytest.fixture(scope="module", autouse=True)
def few_vignettes() -> Iterator[None]:
    """Some forty of the shipped vignettes: the whole is tried in tests/cards."""
    with pytest.MonkeyPatch.context() as patch:
        every = Baseline.vignettes
        patch.setattr(Baseline, "vignettes", lambda self, pathway: every(self, pathway)[:40])
        yield


FORM: dict[str, str] = {}  # of the first page, which is asked for once


def typed(visitor: Visitor, **given: str) -> dict[str, str]:
    """The form of the row, with what somebody types."""
    if not FORM:
        page = visitor.get(DEFICIENT)
        assert page.status_code == 200
        FORM.update(fields(page, "studio"))
    typed_names = ("limit", "own", "by", "site", "code")
    changed = {name.replace("_", "-") if name.startswith(typed_names) else name: value for name, value in given.items()}
    return FORM | {"do": "show"} | changed


def plain(text: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def test_words_and_a_limit_are_shown_word_by_word_with_who_moves_and_what_to_look_at(visitor: Visitor):
    told = typed(visitor, limit_b12_deficient_mass="100", own_source="Handbook 2026", site_name="Example Hospital")
    told["detail"] = re.sub("(?i)do not", "Never", told["detail"])
    told["summary"] = told["summary"].replace("NICE", "local")
    page = visitor.post("/content/edit", told)
    assert page.status_code == 200, plain(page.text)
    text = plain(page.text)
    assert "b12-deficient-mass is 100 ng/L, more than 30 % from the shipped 180 ng/L" in text
    assert "shipped patients of this pathway, the worst first" in text
    assert re.search(r"confirmed, warning → indeterminate, (info|none)", text)
    assert "<del>" in page.text
    again = fields(page, "studio")
    assert again["limit-b12-deficient-mass"] == "100"
    assert "local" in again["summary"]


def test_the_zip_laid_over_does_what_its_printed_page_says(visitor: Visitor, tmp_path: Path):
    told = typed(visitor, limit_b12_deficient_mass="145", own_source="Handbook 2026", site_name="Example Hospital")
    told |= {"summary": "{b12_name} {b12} ({b12_date}) is below the local limit ({b12_threshold})", "state": "on"}
    page = visitor.post("/content/edit", told)
    assert page.status_code == 200, plain(page.text)
    carried = fields(page, "studio")
    sheet = plain(visitor.post("/content/edit/sheet", carried).text)
    with ZipFile(io.BytesIO(visitor.post("/content/edit/zip", carried).data)) as archive:
        archive.extractall(tmp_path / "site")
    theirs = load_content(cards_folder(), tmp_path / "site")
    assert theirs.digest in sheet
    assert f"Approval of the content of {theirs.site.name}" in sheet
    for lines in difference(load_content(cards_folder()), theirs).values():
        for line in lines:
            assert plain(line.replace("<", "&lt;")) in sheet.replace("&#x27;", "'").replace("&quot;", '"')
    assert "total B12 deficient: below 145 ng/L instead of below 180 ng/L. Source: Handbook 2026" in sheet
    service = client_config(Settings(site_dir=tmp_path / "site"), theirs)
    for value, label in ((144, "confirmed"), (145, "indeterminate")):
        lab = {"analyte": "b12", "value": value, "unit": "ng/L", "days_ago": 5}
        found = played(Vignette("one", "one", date(2026, 1, 15), "uk-ng239", {"lab": [lab]}, {}), service)
        assert found.decision.label == label
        if label == "confirmed":
            assert "is below the local limit (145 ng/L)" in found.cards[0]["summary"]
    create_app(Settings(demo=True, site_dir=tmp_path / "site", store_url="none"))


def test_who_approved_is_taken_home_and_the_cards_no_longer_say_that_nobody_did(visitor: Visitor, tmp_path: Path):
    page = visitor.post("/content/edit", typed(visitor) | {"approver": "Dr B. Sample", "approved": "2026-11-20"})
    assert "Not yet approved locally." in page.text, "the difference shows what goes"
    carried = fields(page, "studio")
    assert "The folder names as approver Dr B. Sample, on 2026-11-20." in plain(
        visitor.post("/content/edit/sheet", carried).text
    )
    with ZipFile(io.BytesIO(visitor.post("/content/edit/zip", carried).data)) as archive:
        archive.extractall(tmp_path / "site")
    theirs = load_content(cards_folder(), tmp_path / "site")
    assert (theirs.is_approved, theirs.approver) == (True, "Dr B. Sample")
    none = visitor.post("/content/edit", carried | {"approver": "", "do": "show"})
    assert "Dr B. Sample" not in fields(none, "studio")["files"]


def test_nobody_has_approved_in_the_future(visitor: Visitor):
    page = visitor.post("/content/edit", typed(visitor) | {"approver": "Dr A. Example", "approved": "2027-01-31"})
    assert page.status_code == 400
    assert "approved on: allowed is a day until today, 2026-11-21" in plain(page.text)


def test_a_value_as_it_is_shipped_is_not_said_by_the_site(visitor: Visitor):
    told = typed(visitor, limit_b12_deficient_mass="145", by_source="ng239", summary="Another title")
    page = visitor.post("/content/edit", told)
    files = fields(page, "studio")["files"]
    assert "145" in files and "Another title" in files
    shipped = typed(visitor)
    back = fields(page, "studio") | {name: shipped[name] for name in ("limit-b12-deficient-mass", "summary")}
    page = visitor.post("/content/edit", back | {"do": "show"})
    assert "b12-deficient-mass" not in fields(page, "studio")["files"]
    assert "This folder changes nothing." in page.text


def test_a_row_taken_away_says_where_its_patients_go(visitor: Visitor):
    page = visitor.post("/content/edit", typed(visitor, state="through"))
    text = plain(page.text)
    assert "vignettes of interpret/deficient now go to" in text
    assert "is gone, and its patients fall through to the next: interpret/deficient" in text


def test_a_folder_is_opened_from_a_zip_and_its_row_shown(visitor: Visitor):
    out = io.BytesIO()
    with ZipFile(out, "w") as archive:
        for path in BATH.rglob("*"):
            if path.is_file():
                archive.write(path, f"bath/{path.relative_to(BATH)}")
    told = typed(visitor, do="open-zip") | {"zip": (io.BytesIO(out.getvalue()), "bath.zip")}
    page = visitor.post("/content/edit", told)
    assert page.status_code == 200
    seen = fields(page, "studio")
    assert seen["limit-b12-deficient-mass"] == "145"
    assert "local threshold" in seen["summary"]


@pytest.mark.parametrize(
    "given, said",
    [
        ({"limit_b12_deficient_mass": "about 100"}, "is no number"),
        ({"limit_b12_deficient_mass": "9000", "own_source": "Handbook"}, "lies above"),
        ({"limit_b12_deficient_mass": "145"}, "whose limit is it"),
        ({"summary": "{b12_nmae} is low"}, "b12_nmae"),
        ({"do": "open-zip"}, "no zip"),
        ({"do": "add-code"}, "needs what it stands for"),
        ({"do": "add-code", **CODE}, "lab-b12.csv"),
        ({"checked": "soon"}, "such as 2026-01-31"),
        ({"files": '{"../x.toml": ""}'}, "plain names"),
        ({"files": '{"site.toml": "", "site.toml/x.toml": ""}'}, "lies in what is itself a file"),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_is_said_and_what_was_typed_stays(visitor: Visitor, given: dict[str, str], said: str):
    page = visitor.post("/content/edit", typed(visitor, **given))
    assert page.status_code == 400
    assert said in plain(page.text)
    if "limit_b12_deficient_mass" in given:
        assert fields(page, "studio")["limit-b12-deficient-mass"] == given["limit_b12_deficient_mass"]


def test_a_code_of_ones_own_is_read_as_the_test_it_stands_for(visitor: Visitor):
    told = typed(visitor, do="add-code", code_set="lab-b12", code_system="http://hospital.example.org/lab",
                 code_code="B12X", code_display="Vitamin B12", code_use="mass")  # fmt: skip
    page = visitor.post("/content/edit", told)
    assert page.status_code == 200, plain(page.text)
    assert "B12X (Vitamin B12) of http://hospital.example.org/lab is read as" in plain(page.text)


def test_the_script_gets_the_cards_first_and_who_moves_later(visitor: Visitor):
    told = typed(visitor, limit_b12_deficient_mass="145", own_source="Handbook")
    quick = visitor.post("/content/edit", told, **HERE_AND_NOW, X_In_Place="1")
    assert "data-later" in quick.text
    later = visitor.post("/content/edit", fields(quick, "studio"), **HERE_AND_NOW, X_Part="moves")
    assert 'id="moves"' in later.text and "data-later" not in later.text
    assert "<main" not in later.text


def test_a_note_and_a_row_of_another_pathway_can_be_opened(visitor: Visitor):
    page = visitor.get("/content/edit?pathway=us-aafp&row=notes/none-of-that-name")
    assert "us-aafp" in fields(page, "studio")["edited-pathway"]
    told = typed(visitor, do="open-row") | {"row": "notes/" + first_note()}
    page = visitor.post("/content/edit", told)
    assert fields(page, "studio")["edited"].startswith("notes/")
    assert "summary" not in fields(page, "studio")


def first_note() -> str:
    return load_content(cards_folder()).pathways["uk-ng239"].notes[0].id
