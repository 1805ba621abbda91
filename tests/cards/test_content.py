"""What loading gives: exact numbers, groups, a digest, prefetch templates, paper; and what a site may change."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote

import pytest

from cds_service.clinical.tables import Choice
from cds_service.content.faults import ContentError
from cds_service.content.files import cards_folder, shipped_folder
from cds_service.content.prefetch import BY_PATIENT, KEYS, SETS, encoded_length, scopes
from cds_service.content.print import as_html, as_markdown
from tests.cards.small_content import SmallContent
from tests.cards.small_files import ORIGIN

PATHWAY = "uk-small"
B12 = "value-sets/lab-b12.csv"


def test_numbers_are_exact_and_dates_are_dates(small: SmallContent):
    small.change("thresholds.toml", "value = 180", "value = 180.10")
    content = small.load()
    limit = content.pathways[PATHWAY].thresholds["b12-deficient-mass"]
    assert str(limit.value) == "180.10"
    assert limit.provenance.checked == date(2026, 11, 21)
    assert content.analytes["b12"].mass_per_molar == Decimal("1.35537")
    assert content.review_by == date(2027, 5, 21)


def test_units_are_found_by_their_normalised_text(small: SmallContent):
    analyte = small.load().analytes["b12"]
    assert analyte.units["pg/ml"].spelling == "pg/mL"
    assert analyte.bases == {"mass": "ng/L", "molar": "pmol/L"}
    assert analyte.plausible[0].high == 6000


def test_rows_keep_their_order_and_their_conditions(small: SmallContent):
    rows = small.load().pathways[PATHWAY].interpret
    assert [row.id for row in rows] == ["deficient", "grey", "untested"]
    assert rows[0].tests == (Choice("repeat"), Choice("h-pylori", unless=("neuro",)))
    assert rows[0].treat_when == (("consider", ("b12_grey", "neuro")),)
    assert rows[0].raised == (("critical", ("neuro",)),)
    assert rows[1].no_card == ("symptoms",)


def test_groups_hold_concepts_and_ingredients(small: SmallContent):
    groups = small.load().groups
    assert groups["symptom"] == {"fatigue", "paraesthesia"}
    assert groups["lifelong"] == {"pernicious-anaemia"}
    assert groups["cobalamin"] == {"hydroxocobalamin", "cyanocobalamin"}


def test_phrases_of_a_section_are_found_by_section_and_key(small: SmallContent):
    assert small.load().messages["doubt.no-unit"] == "the result has no unit"


def test_the_route_of_a_draft_is_coded_in_snomed_ct_where_it_can_be(small: SmallContent):
    assert small.load().route_codings["im"] == ("http://snomed.info/sct", "78421000", "Intramuscular route")


def test_the_digest_names_the_content_wherever_it_lies(small: SmallContent, tmp_path: Path):
    copy = SmallContent(tmp_path / "elsewhere", tmp_path / "no-site")
    assert small.load().digest == copy.load().digest
    copy.change("sources.toml", "A guide", "A Guide")
    assert small.load().digest != copy.load().digest


def test_content_that_nobody_has_approved_is_remarked(small: SmallContent):
    assert any("not yet locally approved" in remark for remark in small.load().remarks)
    approval = 'approver = "A. Lead"\napproved = 2026-12-01\napproved_version = "1.2.3"'
    small.change("content.toml", 'approver = ""', approval)
    assert small.load().remarks == ()


def test_every_template_is_a_read_or_a_search_in_the_restricted_subset(small: SmallContent):
    templates = small.load().prefetch["full"]
    assert templates["patient"] == "Patient/{{context.patientId}}"
    for key, resource in BY_PATIENT.items():
        assert templates[key] == f"{resource}?patient={{{{context.patientId}}}}"
    for template in templates.values():
        query = template.partition("?")[2]
        names = [part.partition("=")[0] for part in query.split("&") if part]
        assert len(names) == len(set(names))
        assert set(names) <= {"patient", "code", "_sort", "_count"}


def test_observations_are_asked_for_by_bare_codes_the_newest_first(small: SmallContent):
    assert small.load().prefetch["minimal"]["b12"] == (
        "Observation?patient={{context.patientId}}&code=2132-9,14685-2,271216009,42T..&_sort=-date&_count=200"
    )


def test_the_minimal_set_is_five_keys_of_the_full_one(small: SmallContent):
    content = small.load()
    assert SETS["minimal"] == ("patient", "b12", "bloodCount", "conditions", "medicationRequests")
    assert content.prefetch["minimal"].items() <= content.prefetch["full"].items()
    assert [key for key in KEYS if key in content.prefetch["full"]] == list(content.prefetch["full"])


def test_status_asks_for_pregnancy_first_and_for_neurological_symptoms_before_others(small: SmallContent):
    codes = small.load().prefetch["full"]["status"].partition("code=")[2].partition("&")[0].split(",")
    assert codes == ["169750002", "77386006", "91019004", "84229001"]


def test_codes_that_do_not_fit_are_left_out_from_the_end_and_named(small: SmallContent):
    lines = "".join(f"http://read.info/ctv3,Xa{number:03d},B12,either,seen\n" for number in range(300))
    small.write(B12, (small.folder / B12).read_text(encoding="utf-8") + lines)
    content = small.load()
    template = content.prefetch["full"]["b12"]
    assert "2132-9,14685-2,271216009,42T..,Xa000," in template
    assert encoded_length(template) <= 1500 < encoded_length(template) + len("%2CXa000")
    remark = next(remark for remark in content.remarks if "b12" in remark)
    assert remark.endswith("Xa299")
    left_out = remark.rpartition(": ")[2].split(", ")
    assert f"prefetch key 'b12': {len(left_out)} codes did not fit and are not asked for" in remark
    assert not set(left_out) & set(template.split(","))


def test_the_length_is_that_of_the_query_as_it_is_sent():
    template = "Observation?patient={{context.patientId}}&code=1-8,2-6"
    assert encoded_length(template) == len("Observation?patient=&code=" + quote("1-8,2-6", safe="")) + 64


def test_the_scopes_name_every_resource_that_is_read(small: SmallContent):
    found = scopes(small.load().prefetch["minimal"])
    assert found["v1"] == (
        "patient/Patient.read", "patient/Observation.read", "patient/Condition.read", "patient/MedicationRequest.read",
        "patient/Medication.read",
    )  # fmt: skip
    assert found["v2"][:2] == ("patient/Patient.r", "patient/Observation.rs")


def test_paper_carries_every_row_threshold_and_source(small: SmallContent):
    content = small.load()
    for text in (as_markdown(content, content.pathways[PATHWAY]), as_html(content, content.pathways[PATHWAY])):
        for word in ("deficient", "b12_grey", "b12-deficient-mass", "180", "Hydroxocobalamin 1 mg", "S1", "A guide",
                     "2026-11-21", "Not yet locally approved", "(h-pylori) unless neuro", "1.2.3"):  # fmt: skip
            assert word in text


def test_html_on_paper_is_escaped(small: SmallContent):
    small.change("thresholds.toml", "step = 1", "step = 1")
    small.change("regimens.toml", 'title = "Tablets"', 'title = "Tablets"')
    small.change("interpret.toml", "Consider a further test.", "below <180 ng/L & more")
    content = small.load()
    page = as_html(content, content.pathways[PATHWAY])
    assert "below &lt;180 ng/L &amp; more" in page
    assert "src=" not in page


SITE_THRESHOLD = f'[[threshold]]\nid = "b12-deficient-mass"\nvalue = 145\nunit = "ng/L"\n{ORIGIN}'


def test_a_site_changes_a_threshold_and_nothing_else(small: SmallContent):
    ours = small.load().pathways[PATHWAY]
    small.site("pathways/uk-small/thresholds.toml", SITE_THRESHOLD)
    theirs = small.load().pathways[PATHWAY]
    assert theirs.thresholds["b12-deficient-mass"].value == 145
    assert theirs.thresholds["b12-grey-mass"] == ours.thresholds["b12-grey-mass"]
    assert theirs.interpret == ours.interpret


def test_a_site_states_the_unit_of_a_changed_threshold(small: SmallContent):
    small.site("pathways/uk-small/thresholds.toml", SITE_THRESHOLD.replace('unit = "ng/L"\n', ""))
    assert small.fault().startswith('site uk-small/thresholds.toml threshold "b12-deficient-mass": a changed value')


def test_a_site_adds_laboratory_codes_and_they_are_asked_for(small: SmallContent):
    small.site(B12, "system,code,display,use,source\nhttp://loinc.org,16695-9,B12 in blood,either,our laboratory\n")
    content = small.load()
    assert content.codes.find("http://loinc.org", "16695-9")[0].concept == "lab-b12"
    assert "16695-9" in content.prefetch["full"]["b12"]


def test_a_site_maps_codes_of_its_own_system(small: SmallContent):
    small.site(B12, "system,code,display,use,source\nhttp://lab.example/tests,51010,B12,mass,our laboratory\n")
    content = small.load()
    assert content.codes.find("http://lab.example/tests", "51010")[0].use == "mass"
    assert "code=51010,2132-9" in content.prefetch["full"]["b12"]


def test_our_own_value_sets_hold_no_local_system(small: SmallContent):
    small.change(B12, "http://read.info/ctv3", "http://lab.example/tests")
    assert "no code system 'http://lab.example/tests'" in small.fault()


def test_a_site_switches_a_row_off_and_another_on(small: SmallContent):
    small.site(
        "pathways/uk-small/safety.toml", '[[row]]\nid = "S1"\noff = true\n',
    )  # fmt: skip
    small.site(
        "pathways/uk-small/interpret.toml",
        '[[row]]\nid = "untested"\nindicator = "info"\nsummary = "No B12"\ndetail = "None."\ntopic = "B12None"\n',
    )
    pathway = small.load().pathways[PATHWAY]
    assert [row.off for row in pathway.safety] == [True]
    assert pathway.interpret[-1].indicator == "info"


def test_a_site_fills_the_approver(small: SmallContent):
    small.site("content.toml", 'approver = "A. Lead"\napproved = 2026-12-01\napproved_version = "1.2.3"\n')
    content = small.load()
    assert (content.approver, content.is_approved) == ("A. Lead", True)


@pytest.mark.parametrize("name", ["pathways/uk-small/Interpret.toml", "pathways/uk_small/interpret.toml"])
def test_a_site_uses_plain_names(small: SmallContent, name: str):
    small.site(name, "")
    assert "a name may hold a-z, 0-9 and - only" in small.fault()


def test_a_site_changes_only_what_exists(small: SmallContent):
    small.site("pathways/uk-small/intrepret.toml", "")
    assert "there is no such file to change. Did you mean 'pathways/uk-small/interpret.toml'?" in small.fault()


def test_no_link_leads_out_of_a_sites_folder(small: SmallContent, tmp_path: Path):
    outside = tmp_path / "outside.toml"
    outside.write_text("", encoding="utf-8")
    small.site("content.toml", "")
    link = tmp_path / "site" / "messages.toml"
    link.symlink_to(outside)
    assert small.fault() == "site messages.toml: the link leaves the site's folder"


def test_no_linked_folder_leads_out_of_a_sites_folder(small: SmallContent, tmp_path: Path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "lab-b12.csv").write_text("system,code,display,use,source\n", encoding="utf-8")
    small.site("content.toml", "")
    (tmp_path / "site" / "value-sets").symlink_to(outside, target_is_directory=True)
    assert small.fault() == "site value-sets/lab-b12.csv: the link leaves the site's folder"


def test_the_content_is_found_in_the_package_or_beside_it():
    assert (cards_folder() / "content.toml").is_file()


def test_a_folder_that_is_not_shipped_is_named():
    with pytest.raises(ContentError, match="there is no folder 'nothing'"):
        shipped_folder("nothing")
