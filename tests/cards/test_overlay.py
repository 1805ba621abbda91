"""A site's own folder over ours: what it may change, what it must state, and how each fault is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cards.small_content import SmallContent
from tests.cards.small_files import ORIGIN

PATHWAY = "uk-small"
LIMITS_FILE = f"pathways/{PATHWAY}/thresholds.toml"
B12 = "value-sets/lab-b12.csv"
HEADER = "system,code,display,use,source\n"
HOSPITAL = "http://hospital.example.org/lab"
LIST = "urn:com.epic.cdshooks.action.code.system.preference-list-item"


def limit(name: str, value: int, unit: str = "ng/L") -> str:
    return f'[[threshold]]\nid = "{name}"\nvalue = {value}\nunit = "{unit}"\n{ORIGIN}'


BATH = limit("b12-deficient-mass", 145) + limit("b12-grey-mass", 180)


def own_limits(analyte: str = "b12", unit: str = "ng/L", code: str = "B12") -> str:
    coded = f'codes = [{{ system = "{HOSPITAL}", code = "{code}" }}]'
    return f'[[own_limits]]\nanalyte = "{analyte}"\nunit = "{unit}"\n{coded}\n'


def test_an_empty_folder_changes_nothing(small: SmallContent):
    ours = small.load()
    small.site("README.md", "For people.")
    theirs = small.load()
    assert theirs.digest == ours.digest
    assert (theirs.pathways, theirs.prefetch, theirs.messages) == (ours.pathways, ours.prefetch, ours.messages)


def test_limits_codes_and_units_of_a_hospital(small: SmallContent):
    small.site(LIMITS_FILE, BATH)
    small.site(B12, f"{HEADER}{HOSPITAL},B12,Vitamin B12,mass,site\n")
    small.site("analytes.toml", '[[b12.unit]]\nspelling = "ng/L"\naccepts = ["nanog/l"]\n')
    small.site("site.toml", own_limits())
    content = small.load()
    pathway = content.pathways[PATHWAY]
    assert [each.value for each in pathway.thresholds.values() if each.unit == "ng/L"] == [145, 180]
    assert content.codes.find(HOSPITAL, "B12")[0].concept == "lab-b12"
    assert pathway.analytes["b12"].units["nanog/l"].spelling == "ng/L"
    assert pathway.site_limits == {f"{HOSPITAL}|B12|ng/L"}


def test_the_texts_of_a_unit_are_added_to_ours(small: SmallContent):
    small.site("analytes.toml", '[[b12.unit]]\nspelling = "pg/mL"\naccepts = ["picog/ml"]\n')
    units = small.load().analytes["b12"].units
    assert {"pg/ml", "picog/ml", "ng/l"} <= units.keys()


def test_own_limits_hold_in_our_spelling_of_system_and_unit(small: SmallContent):
    small.site(LIMITS_FILE, BATH)
    given = own_limits(unit="PG/ML", code="2132-9").replace(HOSPITAL, "urn:oid:2.16.840.1.113883.6.1")
    small.site("site.toml", given)
    assert small.load().pathways[PATHWAY].site_limits == {"http://loinc.org|2132-9|pg/mL"}


def test_own_limits_hold_in_the_pathway_whose_limits_were_stated_and_in_no_other(small: SmallContent):
    for file in sorted((small.folder / "pathways" / PATHWAY).iterdir()):
        text = file.read_text(encoding="utf-8").replace('id = "uk-small"', 'id = "uk-other"')
        small.write(f"pathways/uk-other/{file.name}", text)
    small.site(LIMITS_FILE, BATH)
    small.site("site.toml", own_limits(code="2132-9").replace(HOSPITAL, "http://loinc.org"))
    pathways = small.load().pathways
    assert (len(pathways[PATHWAY].site_limits), len(pathways["uk-other"].site_limits)) == (1, 0)


def test_settings_of_a_site(small: SmallContent):
    small.site("site.toml", 'name = "H"\ntime_zone = "Europe/London"\n[cards]\nmost = 1\nmost_suggestions = 0\n')
    site = small.load().site
    assert (site.name, site.time_zone) == ("H", "Europe/London")
    assert site.cards == {"max_cards": 1, "max_suggestions": 0}


def test_local_codes_on_drafts_are_added_to_ours_and_recognised_when_they_come_back(small: SmallContent):
    coding = f'system = "{LIST}"\ncode = "11"\ndisplay = "B12"\n'
    small.site(
        f"pathways/{PATHWAY}/orderables.toml", f'[[orderable]]\nid = "h-pylori"\n[[orderable.more_codings]]\n{coding}'
    )
    small.site(
        f"pathways/{PATHWAY}/regimens.toml",
        '[[regimen]]\nid = "im"\n[[regimen.codings]]\n' + coding.replace("11", "12"),
    )
    content = small.load()
    pathway = content.pathways[PATHWAY]
    assert pathway.orderables["h-pylori"].more_codings == ((LIST, "11", "B12"),)
    assert [code for _, code, _ in pathway.regimens["im"].codings] == ["409258004", "12"]
    assert content.codes.find(LIST, "11")[0].concept == "order-h-pylori"
    assert content.codes.find(LIST, "12")[0].concept == "medicine-hydroxocobalamin"


def test_a_key_of_a_preference_list_stands_for_one_test(small: SmallContent):
    coding = f'[[orderable.more_codings]]\nsystem = "{LIST}"\ncode = "11"\ndisplay = "B12"\n'
    both = "".join(f'[[orderable]]\nid = "{name}"\n{coding}' for name in ("b12-total", "h-pylori"))
    small.site(f"pathways/{PATHWAY}/orderables.toml", both)
    assert f"the code '11' of {LIST} already stands for 'order-b12-total'" in small.faults()[0]


def test_a_code_with_odd_signs_is_asked_for_as_a_search_writes_it(small: SmallContent):
    small.site(B12, f"{HEADER}{HOSPITAL},VIT B12/S&P,Vitamin B12,mass,site\n")
    template = small.load().prefetch["full"]["b12"]
    assert "code=VIT%20B12%2FS%26P,2132-9," in template


def test_an_approval_is_of_the_version_that_was_read(small: SmallContent):
    approval = 'approver = "A. Lead"\napproved = 2026-12-01\napproved_version = "1.2.3"\n'
    small.site("content.toml", approval)
    assert small.load().is_approved
    small.change("content.toml", 'version = "1.2.3"', 'version = "1.2.4"')
    content = small.load()
    assert not content.is_approved
    assert "the approval by A. Lead was of version 1.2.3; this is 1.2.4: not approved" in content.remarks


SITE_FAULTS = {
    "a misspelt threshold": (LIMITS_FILE, limit("b12-deficent-mass", 145).replace(ORIGIN, ""),
                             "no threshold to change 'b12-deficent-mass'. Did you mean 'b12-deficient-mass'?"),
    "a limit without its source": (LIMITS_FILE, limit("b12-grey-mass", 400).replace(ORIGIN, ""),
                                   "a changed value must state its source, evidence, checked"),
    "a limit in another unit": (LIMITS_FILE, limit("b12-grey-mass", 400, "pmol/L"), "it must be 'ng/L'"),
    "limits that cross": (LIMITS_FILE, limit("b12-grey-mass", 100), "lies above"),
    "a threshold twice": (LIMITS_FILE, limit("b12-grey-mass", 400) * 2, "the id is used twice"),
    "a regimen without its source": (
        f"pathways/{PATHWAY}/regimens.toml",
        '[[regimen]]\nid = "oral"\n[[regimen.phase]]\nid = "treatment"\ndose = 100\n',
        "a changed phase must state its source, evidence, checked",
    ),
    "a misspelt row": (f"pathways/{PATHWAY}/interpret.toml", '[[row]]\nid = "gray"\noff = true\n',
                       "no row to change 'gray'. Did you mean 'grey'?"),
    "a row without a name": (f"pathways/{PATHWAY}/safety.toml", "[[row]]\noff = true\n", "a [[row]] without an id"),
    "a misspelt analyte": ("analytes.toml", '[[b21.unit]]\nspelling = "ng/L"\n', "no analytes to change 'b21'"),
    "a misspelt phrase": ("messages.toml", 'not-record = "-"\n', "no phrase 'not-record'"),
    "a misspelt phrase of a section": ("messages.toml", '[doubt]\nno-units = "-"\n', "no phrase 'no-units'"),
    "our version": ("content.toml", 'version = "9.9.9"\n', "'version' is not a site's to change"),
    "half an approval": ("content.toml", 'approver = "A. Lead"\n', "missing: approved, approved_version"),
    "a time zone": ("site.toml", 'time_zone = "Europe/Bath"\n', "'Europe/Bath' is no time zone"),
    "too many cards": ("site.toml", "[cards]\nmost = 4\n", "'cards' 'most' is 4; it must be at most 3"),
    "an unknown behaviour": ("site.toml", '[cards]\nselection_behaviour = "all"\n', "Allowed: any, alternatives, "),
    "an unknown setting": ("site.toml", 'timezone = "UTC"\n', "unknown key 'timezone'. Did you mean 'time_zone'?"),
    "limits of an unknown analyte": ("site.toml", own_limits("b21"), "no analyte with limits of its own 'b21'"),
    "limits in an unknown unit": ("site.toml", own_limits(unit="mg/L"), "no unit of b12 'mg/L'"),
    "a file of another kind": ("limits.json", "{}", "is not read; a site's folder holds .csv, .toml"),
    "a value set in capitals": ("value-sets/lab-b12.CSV", HEADER, "is not read"),
    "a value set too deep": ("value-sets/more/lab-b12.csv", HEADER, "there is no such file to change"),
    "TOML that is none": ("site.toml", "name =", "site site.toml: not readable as TOML"),
    "no code system": (B12, f"{HEADER},B12,Vitamin B12,mass,site\n", "no code system ''"),
    "a known system otherwise spelt": (B12, f"{HEADER}https://loinc.org,2132-9,B12,mass,site\n",
                                       "'https://loinc.org' is read as http://loinc.org: write that"),
    "a code that no search can name": (B12, f'{HEADER}{HOSPITAL},"B12,S",Vitamin B12,mass,site\n',
                                       "holds a sign that no search can ask for"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "text", "said"), SITE_FAULTS.values(), ids=SITE_FAULTS)
def test_every_fault_of_a_site_is_named(small: SmallContent, name: str, text: str, said: str):
    small.site(name, text)
    assert said in small.fault()


def test_own_limits_need_the_code_in_the_value_set_and_the_limits_in_a_pathway(small: SmallContent):
    small.site("site.toml", own_limits())
    unmapped, unstated = small.faults()
    assert f"the code 'B12' of {HOSPITAL} is not in value-sets/lab-b12.csv; add it there" in unmapped
    assert "no thresholds.toml of the site states the limits b12-deficient-mass, b12-grey-mass" in unstated


def test_a_file_that_is_not_utf_8_is_a_fault_and_no_crash(small: SmallContent, tmp_path: Path):
    small.site("README.md", "")
    for name in ("value-sets/lab-b12.csv", "site.toml"):
        path = tmp_path / "site" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"name = '\xe9'\n")
    csv, toml = sorted(small.faults(), reverse=True)
    assert csv.startswith("site value-sets/lab-b12.csv: not readable as CSV in UTF-8")
    assert toml.startswith("site site.toml: not readable as TOML")


def test_nothing_is_read_through_a_link_that_leaves_the_folder(small: SmallContent, tmp_path: Path):
    outside = tmp_path / "outside.csv"
    outside.write_text("secret\n", encoding="utf-8")
    small.site("value-sets/README.md", "")
    (tmp_path / "site" / B12).symlink_to(outside)
    assert small.fault() == f"site {B12}: the link leaves the site's folder"


def test_what_is_hidden_is_a_repositorys_own(small: SmallContent):
    small.site(".git/config.toml", "x = ")
    small.site(".DS_Store", "")
    assert small.faults() == ()


def test_a_fault_of_a_site_says_that_it_is_the_sites(small: SmallContent):
    small.site(B12, f"{HEADER}{HOSPITAL},B12,Vitamin B12,molarity,site\n")
    assert re.match(r"site value-sets/lab-b12.csv line 2: use is 'molarity'; allowed: ", small.fault())
