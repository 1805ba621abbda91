"""What the loader refuses in thresholds, drafts, codes and words: each fault with its file, and what is allowed."""

from __future__ import annotations

from tests.cards.small_content import SmallContent


def test_every_threshold_that_the_program_reads_must_be_there(small: SmallContent):
    small.change("thresholds.toml", '"b12-grey-mass"', '"b12-gray-mass"')
    assert [fault.partition(": ")[2][:40] for fault in small.faults()] == [
        "the threshold 'b12-grey-mass' is missing",
        "nothing reads the threshold 'b12-gray-ma",
    ]


def test_a_threshold_is_stated_in_its_unit(small: SmallContent):
    small.change("thresholds.toml", 'unit = "ng/L"', 'unit = "pmol/L"')
    assert small.fault().endswith("unit is 'pmol/L'; it must be 'ng/L'")


def test_the_edges_of_a_band_do_not_cross(small: SmallContent):
    small.change("thresholds.toml", "value = 180", "value = 360")
    assert "'b12-deficient-mass' (360) lies above 'b12-grey-mass' (350)" in small.fault()


def test_a_phase_that_another_follows_says_what_ends_it(small: SmallContent):
    small.change("regimens.toml", 'count = 6\nduration = [2, "wk"]\n', "")
    assert "phase 'loading' is followed by another and needs a duration" in small.fault()


def test_a_dose_range_must_rise(small: SmallContent):
    small.change("regimens.toml", "dose_high = 150", "dose_high = 50")
    assert "dose_high 50 is not above dose 50" in small.fault()


def test_the_text_of_a_regimen_begins_with_its_ingredient(small: SmallContent):
    small.change("regimens.toml", "Hydroxocobalamin 1 mg injection", "Injection of hydroxocobalamin")
    assert "text must begin with the ingredient, 'hydroxocobalamin'" in small.fault()


def test_a_code_that_we_draft_must_be_one_that_we_recognise(small: SmallContent):
    small.change("regimens.toml", '"409258004"', '"419382002"')
    small.change("orderables.toml", '"2132-9"', '"787-2"')
    assert [fault.partition(": ")[2] for fault in small.faults()] == [
        "the code '787-2' of http://loinc.org is in no value set lab-b12 or order-b12-total",
        "the code '419382002' of http://snomed.info/sct is not in value set 'medicine-hydroxocobalamin'",
    ]


def test_a_group_that_the_findings_read_may_not_be_empty(small: SmallContent):
    small.change("problems.toml", 'groups = ["pregnancy"]', "groups = []")
    assert small.fault() == "problems.toml: no member in group pregnancy, which the findings read"


def test_a_concept_that_neither_code_nor_word_leads_to_is_refused(small: SmallContent):
    small.change("problems.toml", 'words = ["pernicious anaemia"]', "")
    assert 'problems.toml "pernicious-anaemia": nothing is recognised as it' in small.fault()


def test_an_analyte_is_recognised_by_codes_alone(small: SmallContent):
    (small.folder / "value-sets/lab-b12.csv").unlink()
    assert any('analytes.toml "b12": nothing is recognised as it' in fault for fault in small.faults())


def test_every_family_of_units_has_a_base(small: SmallContent):
    small.change("analytes.toml", 'family = "molar"\nfactor = 1\n', 'family = "molar"\nfactor = 1000\n')
    assert "no unit of family 'molar' has factor 1" in small.fault()


def test_a_unit_text_means_one_unit(small: SmallContent):
    small.change("analytes.toml", 'accepts = ["PG/ML"]', 'accepts = ["pmol/l"]')
    assert "the unit text 'pmol/l' stands for two units" in small.fault()


def test_the_words_for_every_prefetch_key_are_there(small: SmallContent):
    small.change("messages.toml", "family = ", "familly = ")
    assert small.fault().startswith("messages.toml: [prefetch] says nothing for 'family'")


def test_a_problem_and_a_medicine_of_one_id_share_their_display(small: SmallContent):
    small.change("medicines.toml", "[hydroxocobalamin]", '[fatigue]\ndisplay = "tiredness"\ngroups = ["cobalamin"]\n'
                 'words = ["x"]\n[hydroxocobalamin]')  # fmt: skip
    assert small.fault() == "medicines.toml \"fatigue\": display 'tiredness', but elsewhere 'fatigue'"
