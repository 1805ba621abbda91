"""What the loader refuses: each fault is named with its file and row, what is wrong and what is allowed."""

from __future__ import annotations

import pytest

from tests.cards.small_content import SmallContent

INTERPRET = "interpret.toml"
DEFICIENT = 'uk-small/interpret.toml row "deficient"'


def test_the_small_content_has_no_fault(small: SmallContent):
    assert small.faults() == ()


def test_all_faults_are_reported_together(small: SmallContent):
    small.change(INTERPRET, '"b12_deficient"', '"b12_deficent"')
    small.change("thresholds.toml", "step = 1", "step = 0")
    small.change("safety.toml", 'topic = "B12Start"\n', "")
    assert len(small.faults()) == 3


def test_an_unknown_finding_is_answered_with_the_nearest_and_all_known_ones(small: SmallContent):
    small.change(INTERPRET, 'when = ["b12_deficient"]', 'when = ["b12_deficent"]')
    assert small.fault() == (
        f"{DEFICIENT}: no finding 'b12_deficent'. Did you mean 'b12_deficient'? "
        "Known: b12_deficient, b12_grey, neuro, symptoms"
    )


UNKNOWN_NAMES = {
    "a finding that raises": (INTERPRET, 'raise = { critical = ["neuro"]', 'raise = { critical = ["nero"]', "finding"),
    "a finding without card": (INTERPRET, 'no_card = ["symptoms"]', 'no_card = ["symptons"]', "finding"),
    "a finding for treating": (INTERPRET, 'consider = ["b12_grey"', 'consider = ["b12_gray"', "finding"),
    "a finding of a test": (INTERPRET, 'unless = ["neuro"] }]', 'unless = ["nero"] }]', "finding"),
    "a test": (INTERPRET, 'tests = ["repeat"', 'tests = ["repeet"', "orderable"),
    "a regimen": ("treat.toml", 'regimens = ["im"]', 'regimens = ["in"]', "regimen"),
    "a source of a row": (INTERPRET, 'source = "guide"', 'source = "giude"', "source"),
    "a source of a threshold": ("thresholds.toml", 'source = "guide"', 'source = "giude"', "source"),
    "a source of the cards": ("pathway.toml", 'card_source = "guide"', 'card_source = "giude"', "source"),
    "a placeholder": (INTERPRET, "{b12_date} meets", "{b12_dat} meets", "placeholder"),
    "a group of problems": ("problems.toml", 'groups = ["symptom", "neuro"]', 'groups = ["neuro", "symtom"]', "group"),
    "a group of medicines": ("medicines.toml", '"cyanocobalamin"]', '"cyanocobalamine", "cyanocobalamin"]', "group"),
    "an analyte": ("orderables.toml", 'measures = ["b12"]', 'measures = ["b12", "b21"]', "analyte"),
    "an ingredient": ("regimens.toml", '"hydroxocobalamin"', '"hydroxycobalamin"', "ingredient"),
    "a chart unit": ("analytes.toml", 'chart = "ng/L"', 'chart = "ng/l"', "chart unit"),
    "a place of a note": ("notes.toml", '"interpret/deficient"', '"interpret/deficent"', "table or row"),
}


@pytest.mark.parametrize(("file", "old", "new", "kind"), UNKNOWN_NAMES.values(), ids=UNKNOWN_NAMES)
def test_a_name_that_nothing_answers_to_is_refused(small: SmallContent, file: str, old: str, new: str, kind: str):
    small.change(file, old, new)
    assert f": no {kind} " in small.fault()
    assert " Known: " in small.fault()


SHAPES = {
    "an unknown key": (INTERPRET, "treat =", "traet =", "unknown key 'traet'. Did you mean 'treat'?"),
    "a missing source": (INTERPRET, 'source = "guide"\n', "", "missing 'source'"),
    "a missing grade": (INTERPRET, 'evidence = "secondary"\n', "", "missing 'evidence'"),
    "a missing date": (INTERPRET, "checked = 2026-11-21\n", "", "missing 'checked'"),
    "an unknown grade": (INTERPRET, '"secondary"', '"secundary"', "'secundary'. Did you mean 'secondary'?"),
    "a date as text": (INTERPRET, "2026-11-21", '"2026-11-21"', "'checked' is '2026-11-21', not a date"),
    "a step of nothing": ("thresholds.toml", "step = 1", "step = 0", "'step' is 0; it must be above 0"),
    "a negative step": ("thresholds.toml", "step = 1", "step = -1", "'step' is -1; it must be above 0"),
    "a number as text": ("thresholds.toml", "value = 180", 'value = "180"', "'value' is '180'; it must be number"),
    "a topic with a hyphen": (INTERPRET, '"B12Deficient"', '"b12-deficient"', "'topic' is 'b12-deficient'; it must"),
    "a topic that is too long": (INTERPRET, '"B12Deficient"', f'"{"a" * 101}"', "'topic' is 'aaa"),
    "an unknown label": (INTERPRET, '"confirmed"', '"conformed"', "Did you mean 'confirmed'?"),
    "an unknown indicator": (INTERPRET, '"warning"', '"hard-stop"', "Allowed: none, info, warning, critical"),
    "an unknown treatment": (INTERPRET, 'treat = "now"', 'treat = "soon"', "Allowed: now, consider, after, none"),
    "a review that is no duration": (INTERPRET, '"P3M"', '"3 months"', "'review' is '3 months'; it must match"),
    "an unknown route": ("regimens.toml", 'route = "im"', 'route = "iv"', "Allowed: im, sc, oral"),
    "a period unit of another notation": ("regimens.toml", '"wk"', '"week"', "Allowed: s, min, h, d, wk, mo, a"),
    "a regimen without phase": ("regimens.toml", '[[regimen.phase]]\nid = "treatment"', "[regimen.x]", "'phase'"),
    "a false spelling of the array": ("thresholds.toml", "[[threshold]]", "[[thresholds]]", "unknown key 'thresholds'"),
    "words in capitals": ("problems.toml", '"fatigue", "tired', '"Fatigue", "tired', "'words' entry 1 is 'Fatigue'"),
    "an unknown family": ("analytes.toml", '"mass"', '"masss"', "Did you mean 'mass'?"),
    "a factor of nothing": ("analytes.toml", "factor = 1", "factor = 0", "'factor' is 0; it must be above 0"),
    "no TOML": (INTERPRET, "[[row]]", "[[row", "not readable as TOML"),
    "speaking alone of a grey result": (
        "treat.toml", 'regimens = ["im"]', 'regimens = ["im"]\nspeaks_alone = true', "speaks_alone is for safety rows",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("file", "old", "new", "said"), SHAPES.values(), ids=SHAPES)
def test_a_wrong_shape_is_refused(small: SmallContent, file: str, old: str, new: str, said: str):
    small.change(file, old, new)
    faults = small.faults()
    assert faults[0].startswith(("uk-small/", "analytes.toml", "problems.toml"))
    assert any(said in fault for fault in faults), faults


def test_a_missing_file_is_named(small: SmallContent):
    (small.folder / "pathways/uk-small/safety.toml").unlink()
    assert small.fault() == "uk-small/safety.toml: the file is missing"


def test_a_pathway_may_have_neither_orders_nor_notes(small: SmallContent):
    (small.folder / "pathways/uk-small/notes.toml").unlink()
    (small.folder / "pathways/uk-small/orders.toml").unlink()
    assert small.faults() == ()


def test_a_file_of_a_misspelt_name_is_named(small: SmallContent):
    small.write("pathways/uk-small/intrepret.toml", "")
    assert small.fault() == (
        "pathways/uk-small/intrepret.toml: no content file has this name. "
        "Did you mean 'pathways/uk-small/interpret.toml'?"
    )


def test_an_id_may_be_used_once(small: SmallContent):
    small.change(INTERPRET, 'id = "grey"', 'id = "deficient"')
    assert small.fault() == f"{DEFICIENT}: the id is used twice"


def test_a_topic_belongs_to_one_card(small: SmallContent):
    small.change("safety.toml", '"B12Start"', '"B12Deficient"')
    assert small.fault() == f"uk-small/safety.toml row \"S1\": the topic 'B12Deficient' is already that of {DEFICIENT}"


@pytest.mark.parametrize("file", [INTERPRET, "treat.toml"])
def test_the_last_row_of_a_table_has_no_condition(small: SmallContent, file: str):
    last = {INTERPRET: 'id = "untested"', "treat.toml": 'id = "unknown"'}[file]
    small.change(file, last, last + '\nwhen = ["symptoms"]')
    assert "the last row must have no condition" in small.fault()


def test_a_row_after_one_without_condition_is_out_of_reach(small: SmallContent):
    small.change(INTERPRET, 'when = ["b12_deficient"]\n', "")
    assert all("no patient can reach it: row 'deficient'" in fault for fault in small.faults())
    assert len(small.faults()) == 2


def test_a_row_whose_condition_an_earlier_one_includes_is_out_of_reach(small: SmallContent):
    small.change(INTERPRET, 'when = ["b12_grey"]', 'when = ["b12_deficient", "symptoms"]')
    assert "no patient can reach it: row 'deficient' before it takes all" in small.fault()


def test_a_condition_may_not_ask_for_what_it_excludes(small: SmallContent):
    small.change(INTERPRET, 'when = ["b12_grey"]', 'when = ["b12_grey"]\nunless = ["b12_grey"]')
    assert "'b12_grey' is in when and in unless" in small.fault()


def test_a_row_that_can_become_a_card_needs_its_words(small: SmallContent):
    small.change(INTERPRET, 'indicator = "none"', 'indicator = "none"\nraise = { info = ["symptoms"] }')
    assert "missing summary, detail, topic: its indicator can be other than none" in small.fault()


def test_a_summary_must_fit_with_its_longest_values(small: SmallContent):
    small.change(INTERPRET, "B12 {b12} is uncertain", "B12 {b12} is uncertain " + "x" * 102)
    assert small.faults() == ()
    small.change(INTERPRET, "is uncertain", "is uncertain,")
    assert small.fault().endswith("summary: is 140 characters long with its longest values; at most 139")


def test_the_length_of_a_summary_counts_utf_16_units(small: SmallContent):
    small.change(INTERPRET, "B12 {b12} is uncertain", "\U0001d49c" * 70)
    assert small.fault().endswith("summary: is 140 characters long with its longest values; at most 139")


@pytest.mark.parametrize("text", ["a <b>bold</b> word", "<br/>", "&nbsp;", "<!-- note -->", "![logo](x.png)"])
def test_html_and_images_are_refused(small: SmallContent, text: str):
    small.change(INTERPRET, "Consider a further test.", text)
    assert "not allowed" in small.fault()


def test_a_comparison_sign_is_no_html(small: SmallContent):
    small.change(INTERPRET, "Consider a further test.", "below <180 ng/L, above >350, iron & folate")
    assert small.faults() == ()


def test_what_drafts_say_has_no_placeholder_and_no_html(small: SmallContent):
    small.change("regimens.toml", "50 to 150 micrograms a day between meals", "{b12} a day")
    small.change("orderables.toml", "Vitamin B12, serum", "<i>Vitamin B12</i>")
    assert [fault.partition(": ")[2][:24] for fault in small.faults()] == [
        "no placeholder 'b12'. Kn",
        "HTML is not allowed: '<i",
    ]


def test_a_brace_without_placeholder_is_refused(small: SmallContent):
    small.change(INTERPRET, "Consider a further test.", "about {b12 today")
    assert "a brace that belongs to no placeholder" in small.fault()
