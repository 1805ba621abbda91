"""The content that is shipped: it loads without a fault, and what it says in codes and in words agrees."""

from __future__ import annotations

import csv
import re
import shutil
from functools import cache

import pytest

from cds_service.content.codes import LOINC, RXNORM, SNOMED
from cds_service.content.content import Content, load_content
from cds_service.content.faults import Faults
from cds_service.content.files import cards_folder, read_files, shipped_folder
from cds_service.content.prefetch import KEYS, LONGEST_TEMPLATE, encoded_length
from cds_service.content.print import as_html, as_markdown
from tests.loading import PARSED, changed_since_it_was_parsed

UNVERIFIED = ("urea-electrolytes",)  # terminology holds no panel code for it: text alone


@cache
def content() -> Content:
    return load_content(cards_folder())


def value_set(name: str) -> list[dict[str, str]]:
    with (cards_folder() / "value-sets" / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_it_is_not_approved_by_anyone_and_nothing_else_is_remarked():
    assert content().approver == ""
    assert len(content().remarks) == 1


def test_nobody_changes_what_was_read_which_all_loading_in_this_process_shares(tmp_path):
    """One file is changed, so that everything is loaded anew; the site's and a language are laid over it."""
    copy = tmp_path / "cards"
    shutil.copytree(cards_folder(), copy)
    with (copy / "content.toml").open("a", encoding="utf-8") as file:
        file.write("# read again\n")
    for site in (None, *sorted((shipped_folder("fixtures", holding="sites") / "sites").iterdir())):
        load_content(copy, site)
        read_files(copy, site, Faults(), "de")
    assert PARSED
    assert changed_since_it_was_parsed() == []


def test_every_prefetch_key_has_a_template_that_fits():
    templates = content().prefetch["full"]
    assert tuple(templates) == KEYS
    assert all(encoded_length(template) <= LONGEST_TEMPLATE for template in templates.values())


def test_every_laboratory_code_is_asked_for():
    asked = {
        code
        for template in content().prefetch["full"].values()
        for code in re.sub(r".*code=([^&]*).*", r"\1", template).split(",")
    }
    for analyte in content().analytes:
        for row in value_set(f"lab-{analyte}"):
            assert row["code"] in asked


@pytest.mark.parametrize(
    "code", ["82810-3", "63895-7", "77386006", "169750002", "91019004", "60576007", "84229001", "45534005"]
)
def test_pregnancy_lactation_and_symptoms_are_asked_for(code: str):
    assert code in re.split("[=,&]", content().prefetch["full"]["status"])


def test_no_answer_code_is_asked_for():
    assert not re.search("[=,]LA[0-9]", content().prefetch["full"]["status"])


@pytest.mark.parametrize(
    ("analyte", "code"),
    [("b12", "2132-9"), ("active-b12", "72160-5"), ("mma", "13964-2"), ("homocysteine", "13965-9")],
)
def test_a_draft_carries_the_first_loinc_code_of_its_analyte(analyte: str, code: str):
    for pathway in content().pathways.values():
        drafted = [each.coding for each in pathway.orderables.values() if each.measures == (analyte,)]
        assert [(coding[0], coding[1]) for coding in drafted if coding] == [(LOINC, code)]


def test_a_test_without_a_verified_code_is_text_alone():
    for pathway in content().pathways.values():
        assert {each.id for each in pathway.orderables.values() if each.coding is None} <= set(UNVERIFIED)


def test_what_the_terminology_excludes_is_another_test_or_none():
    excluded = ("2171-7", "72157-1", "2630-2", "32259-4", "20646-6", "11272-2", "28390-3", "785-6")
    for code in excluded:
        concepts = [use.concept for use in content().codes.find(LOINC, code)]
        assert not any(concept.startswith("lab-") for concept in concepts), code


def test_every_product_name_leads_to_its_ingredient_by_words_too():
    missed = []
    for path in (cards_folder() / "value-sets").glob("medicine-*.csv"):
        ingredient = path.stem.removeprefix("medicine-")
        if ingredient == "eradication-course":  # recognised by its codes; its words name the medicines in the pack
            continue
        for row in value_set(path.stem):
            if row["system"] in (RXNORM, SNOMED):
                found = content().words.find(row["display"], "medicine")
                missed += [] if ingredient in found else [(ingredient, row["display"])]
    assert missed == []


def test_the_words_of_a_denied_or_past_problem_do_not_count():
    words = content().words
    assert words.find("Denies paraesthesia", "problem") == ()
    assert words.find("Family history of pernicious anaemia", "problem") == ("family-history",)
    assert words.find("Previous fatigue", "problem") == ()
    assert words.find("History of total gastrectomy", "problem") == ("gastrectomy-total",)


def test_all_of_it_can_be_printed():
    for pathway in content().pathways.values():
        for text in (as_markdown(content(), pathway), as_html(content(), pathway)):
            for row in (*pathway.interpret, *pathway.treat, *pathway.safety):
                assert row.id in text
            for name in pathway.thresholds:
                assert name in text
