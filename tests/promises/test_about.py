"""GET /about says what is so: what it states of sources, dates and elements of a person is computed anew."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import date

import msgspec
import pytest
from click.testing import CliRunner
from werkzeug.test import Client

from cds_service.about import ATTRIBUTES, MOVES, NEVER_READ, About, about, releases
from cds_service.app import create_app
from cds_service.cli import main
from cds_service.clinical.findings import NAMES
from cds_service.content.content import load_content
from cds_service.content.files import cards_folder
from cds_service.demographics import ELEMENTS, Demographics, Element, Group, Outcome, computed, shipped_demographics
from cds_service.settings import Settings
from tests import depth
from tests.book import content, service
from tests.hooks.calling import ENVIRON
from tests.hooks.tokens import Gated
from tests.ways import EVERY

SHIPPED = shipped_demographics()
EVERY_FEW = 120  # vignettes; beside those by which every row that moves is shown once
TABLES = ("course", "interpret", "treat", "safety", "orders")
CELLS = r'data-label="Patients">(\d+)</td>\s*<td [^>]*>(\d+)</td>\s*<td [^>]*>(\d+)</td>'


Tried = set[tuple[str, str, str]]  # vignette, element, variation


def shown_by(found: Demographics) -> Tried:
    """Some vignettes, each in one variation, by which every row that a variation moves is shown."""
    shown: Tried = set()
    for element, outcomes in found.outcomes.items():
        for variation, outcome in outcomes.items():
            left = set(outcome.rows())
            while left:
                group = max(outcome.groups, key=lambda each: len(left & {*each.move.lost, *each.move.gained}))
                left -= {*group.move.lost, *group.move.gained}
                shown.add((group.vignettes[0], element, variation))
    return shown


def chosen() -> Tried:
    """What is changed anew in this run: what shows each row that moves, and some vignettes in everything."""
    every = [(element.id, variation.id) for element in ELEMENTS for variation in element.variations]
    known = [name for name, asked in EVERY.items() if not asked.site]
    whole = known[:: depth.chosen(EVERY_FEW, 1)]
    return {*shown_by(SHIPPED), *((name, *each) for name in whole for each in every)}


def lies(stated: Demographics, found: Demographics, tried: Tried) -> list[str]:
    """Where what is stated is not what was found when these were tried."""
    wrong = []
    for element in ELEMENTS:
        for variation in element.variations:
            said, is_so = (each.outcomes[element.id][variation.id] for each in (stated, found))
            place, this = f"{element.id}/{variation.id}", (element.id, variation.id)
            names = {name for name, *each in tried if tuple(each) == this}
            moves, shown = of(names, said.groups), of(names, is_so.groups)
            wrong += [f"{place}: {name}" for name in sorted(names) if moves.get(name) != shown.get(name)]
            wrong += [f"{place}: is read"] if is_so.read and not said.read else []
            wrong += [f"{place}: {name}" for name in is_so.findings if name not in said.findings]
            if len(names) == stated.vignettes and (said.asked, said.read) != (is_so.asked, is_so.read):
                wrong.append(f"{place}: counts")
    return wrong


def of(names: Iterable[str], groups: Iterable[Group]) -> dict[str, msgspec.Struct]:
    """What moves in each of these vignettes."""
    return {name: group.move for group in groups for name in group.vignettes if name in names}


def test_what_is_shipped_is_what_is_found_when_patients_are_changed_anew():
    tried = chosen()
    found = computed(service, SHIPPED.service, lambda *each: each in tried)
    print(f"{len({name for name, *_ in tried})} of {SHIPPED.vignettes} vignettes, {len(tried)} changes")
    assert lies(SHIPPED, found, tried) == [], "write it again: b12-cds about --compute fixtures/demographics.json"


def test_the_vignettes_that_were_changed_are_still_there_and_no_other_is_left_out():
    """New ones are allowed between two releases, but not many: the page says over how many it was found."""
    stated = {name for outcomes in SHIPPED.outcomes.values() for each in outcomes.values()
              for group in each.groups for name in group.vignettes}  # fmt: skip
    assert stated <= set(EVERY)
    assert {name for name, asked in EVERY.items() if asked.site} == set(SHIPPED.left_out)
    assert len(EVERY) - len(SHIPPED.left_out) - SHIPPED.vignettes < SHIPPED.vignettes / 20


def altered(element: str, variation: str, outcome: Outcome) -> Demographics:
    outcomes = {**SHIPPED.outcomes, element: {**SHIPPED.outcomes[element], variation: outcome}}
    return msgspec.structs.replace(SHIPPED, outcomes=outcomes)


def test_a_lie_is_found():
    outcome = SHIPPED.outcomes["sex"]["male"]
    name = outcome.groups[0].vignettes[0]
    none = altered("sex", "male", Outcome(outcome.asked, 0))
    tried = {(name, "sex", "male")}
    found = computed(service, "", lambda *each: each in tried)
    assert lies(SHIPPED, found, tried) == []
    assert lies(none, found, tried)[:2] == [f"sex/male: {name}", "sex/male: is read"]


def test_every_attribute_is_there_in_its_order_and_no_element_is_forgotten():
    told = about(content())
    assert [each.number for each in told.attributes] == [*range(1, 14), 0] == list(ATTRIBUTES)
    assert all(each.value for each in told.attributes)
    uses = {use.id for each in told.attributes for use in each.uses}
    assert uses == {each.id for each in ELEMENTS} == set(SHIPPED.outcomes)


def use_of(name: str, told: About | None = None):
    return next(use for each in (told or about(content())).attributes for use in each.uses if use.id == name)


def test_race_ethnicity_language_and_names_are_never_read_and_sex_age_and_pregnancy_are_used():
    never = ("race", "ethnicity", "language", "sexual-orientation", "gender-identity", "social", "names")
    assert {use_of(name).use for name in never} == {NEVER_READ}
    assert {use_of(name).use for name in ("sex", "date-of-birth", "pregnancy", "breastfeeding", "diet")} == {MOVES}
    assert "uk-ng239 notes/ethnicity" in use_of("ethnicity").mentioned + use_of("race").mentioned


def test_every_row_and_finding_that_is_named_is_one():
    told = about(content())
    tables = [getattr(pathway, table) for pathway in content().pathways.values() for table in TABLES]
    rows = {f"{row.table}/{row.id}" for table in tables for row in table}
    rows |= {f"notes/{row.id}" for pathway in content().pathways.values() for row in pathway.notes}
    rows |= {f"fixed/{name}" for name in content().pathways["uk-ng239"].fixed}
    named = {row for each in told.attributes for use in each.uses for one in use.variations for row in one.rows}
    assert {row for row in named if row not in rows and row.replace("safety/", "orders/") not in rows} == set()
    assert {name for each in told.attributes for use in each.uses for name in use.findings} <= set(NAMES)


def test_the_rows_that_ask_for_action_at_once_are_those_whose_card_may_be_critical():
    named = {(each.pathway, each.row) for each in about(content()).urgent}
    assert {("uk-ng239", "safety/S1"), ("uk-ng239", "safety/S1b"), ("us-aafp", "safety/S5")} <= named
    critical = {
        (name, f"{row.table}/{row.id}")
        for name, pathway in content().pathways.items()
        for row in (*pathway.interpret, *pathway.safety, *pathway.orders)
        if "critical" in (row.indicator, *(indicator for indicator, _ in row.raised))
    }
    assert named == critical


def test_each_switch_that_is_named_withholds_its_row(tmp_path):
    for each in about(content()).urgent:
        table = tmp_path / "pathways" / each.pathway / f"{each.row.partition('/')[0]}.toml"
        table.parent.mkdir(parents=True, exist_ok=True)
        with table.open("a") as file:
            file.write(f'[[row]]\nid = "{each.row.partition("/")[2]}"\noff = true\n')
        assert each.switch.endswith(table.relative_to(tmp_path).as_posix())
    told = about(load_content(cards_folder(), tmp_path))
    assert told.urgent
    assert all(each.off for each in told.urgent)
    assert not told.measured.is_current
    assert told.measured.content_digest == content().digest != told.content_digest
    assert f"(digest {told.content_digest}) differs from it" in told.measured.note


def test_what_was_found_with_the_content_that_runs_says_so():
    told = about(content()).measured
    assert (told.is_current, told.note) == (True, "found with the content that runs here")
    assert told.content_digest == content().digest


def test_each_content_that_runs_is_told_by_its_digest(tmp_path):
    """A client with a folder of its own has another content, with its own rows and sources."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "site.toml").write_text('time_zone = "Europe/London"\n')
    gated = Gated(tmp_path, main={"site": "site"})
    ours = gated.open("GET", "/about").json
    (other,) = ours["others"]
    theirs = gated.open("GET", f"/about?content={other}").json
    assert theirs["content_digest"] == other != ours["content_digest"]
    assert theirs["others"] == [ours["content_digest"]]
    assert (theirs["measured"]["is_current"], ours["measured"]["is_current"]) == (False, True)
    refused = gated.open("GET", "/about?content=none")
    assert refused.status_code == 404
    assert other in refused.text


def test_citations_count_everything_that_rests_on_them():
    for name, cited in about(content()).citations.items():
        pathway = content().pathways[name]
        assert {each.id for each in cited} <= set(pathway.sources)
        rows = sum(
            len(getattr(pathway, table)) for table in ("course", "interpret", "treat", "safety", "orders", "notes")
        )
        others = (pathway.fixed, pathway.thresholds, pathway.regimens, pathway.orderables, pathway.follow_ups)
        assert sum(sum(each.parts.values()) for each in cited) == rows + sum(map(len, others))
        assert all(each.checked_from <= each.checked_to for each in cited)


def test_dates_are_those_of_the_changelog_and_the_newest_is_this_content():
    told = about(content())
    assert told.releases[0].version == told.content_version == content().version
    assert releases("# X\n## 1.2.0 (2026-01-02)\n\n### y\n## Unreleased\n")[0].day == date(2026, 1, 2)
    assert f"content {told.releases[0].version} of {told.releases[0].day}" in told.attributes[3].value


def test_what_nobody_stated_is_not_made_up():
    told = about(content())
    assert told.attributes[2].value == "not stated"
    assert (told.approver, told.approved, told.owners) == ("", None, ())


@pytest.fixture(scope="module")
def served():
    return Client(create_app(Settings(demo=True, store_url="none")))


def test_a_machine_gets_json_and_a_browser_a_page_and_the_command_says_the_same(served):
    machine = served.get("/about", environ_overrides=ENVIRON)
    assert machine.mimetype == "application/json"
    browser = served.get("/about", environ_overrides=ENVIRON, headers={"Accept": "text/html,*/*;q=0.8"})
    assert browser.mimetype == "text/html"
    printed = CliRunner().invoke(main, ["about", "--json"])
    assert json.loads(printed.stdout) == machine.json == json.loads(msgspec.json.encode(about(content())))
    for each in machine.json["attributes"]:
        assert f">{each['title']}</th>" in browser.text
    for name in ("Ethnicity: never read", "Sex: used", "Date of birth: used"):
        assert name in browser.text


def test_the_page_shows_the_numbers_of_the_data(served):
    page = served.get("/about", environ_overrides=ENVIRON, headers={"Accept": "text/html"}).text
    shown = [tuple(map(int, each)) for each in re.findall(CELLS, page)]
    outcomes = [SHIPPED.outcomes[element.id][each.id] for element in in_order() for each in element.variations]
    assert shown == [(each.asked, each.read, each.moved) for each in outcomes]


def in_order() -> list[Element]:
    """The elements as the page has them: by the number of their attribute, and last what is beyond the list."""
    return sorted(ELEMENTS, key=lambda element: element.attribute or 99)


def test_the_command_prints_it_for_a_reader():
    done = CliRunner().invoke(main, ["about"])
    assert done.exit_code == 0
    assert "45 CFR 170.315(b)(11)(iv)(A)" in done.stdout
    assert "never read" in done.stdout


def test_without_pages_and_without_a_token_it_is_json_for_a_browser_too(tmp_path):
    answer = Gated(tmp_path).open("GET", "/about", headers={"Accept": "text/html"})
    assert answer.mimetype == "application/json"
    assert answer.json["content_version"] == content().version
