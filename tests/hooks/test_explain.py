"""`b12-cds explain`: the same pipeline on a saved request, and everything that led to the answer (issue 3, part 5)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

from cds_service.cdshooks.registry import HOOKS
from cds_service.cdshooks.schemas import OUTGOING, schema_faults
from cds_service.cli import main
from tests.book import FIXTURES
from tests.fhir import loopback
from tests.hooks.calling import SECRET, body
from tests.hooks.living import b12, bundle, fhir_server, prefetch, problem

KEYS = [
    "pathway",
    "contentVersion",
    "asOf",
    "label",
    "course",
    "due",
    "rows",
    "notes",
    "sentences",
    "findings",
    "ignored",
    "unavailable",
    "suppressed",
    "cards",
]
VIGNETTE = FIXTURES / "vignettes" / "uk-ng239" / "03-molar-132-paraesthesia-metformin.toml"


def run(*arguments: Any, **environment: str) -> Result:
    """The command, without any setting of this environment."""
    unset = dict.fromkeys(("CDS_DEMO", "CDS_PATHWAY", "CDS_PREFETCH", "CDS_TIME_ZONE", "CDS_FHIR_BASES"))
    return CliRunner(env={**unset, **environment}).invoke(
        main, [str(each) for each in arguments], catch_exceptions=False
    )


def told(*arguments: Any, **environment: str) -> dict[str, Any]:
    result = run("explain", "--json", *arguments, **environment)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_each_paragraph_of_a_card_is_said_with_the_row_or_note_in_which_it_stands():
    explained = told(VIGNETTE)
    (card,) = explained["cards"]
    by_origin = {each["from"]: each["text"] for each in explained["sentences"]}
    assert by_origin["interpret/deficient"] == "**Do not** give folic acid before B12."
    assert {*explained["notes"], "interpret/deficient", "treat/neuro"} == by_origin.keys()
    assert all(each["text"] in card["detail"] for each in explained["sentences"])
    assert "treat/neuro          - Hydroxocobalamin 1 mg" in run("explain", VIGNETTE).stdout


@pytest.fixture
def saved(tmp_path):
    """Writes a request to a file."""

    def save(request: Any) -> Path:
        path = tmp_path / "request.json"
        path.write_bytes(request if isinstance(request, bytes) else json.dumps(request).encode())
        return path

    return save


def test_json_holds_exactly_what_the_issue_lists(saved):
    sent = prefetch(
        conditions=bundle(problem()), family=..., b12=bundle(b12(), b12(id="not-final", status="cancelled"))
    )
    found = told("--as-of", "2026-01-15", saved(body(prefetch=sent)))
    assert list(found) == KEYS
    assert (found["pathway"], found["asOf"], found["label"]) == ("uk-ng239", "2026-01-15", "confirmed")
    assert found["rows"] == ["course/none", "interpret/deficient", "treat/neuro"]
    assert {
        "name": "neuro",
        "because": [{"reference": "Condition/con-91019004", "text": "paraesthesia (16 Dec 2025)"}],
    } in found["findings"]
    (ignored,) = found["ignored"]
    assert ignored["reference"] == "Observation/not-final"
    assert ignored["reason"]
    assert found["unavailable"] == ["family"]
    assert [card["indicator"] for card in found["cards"]] == ["warning"], "the regimen stands on the card of the result"


def test_a_vignette_brings_its_own_day_and_pathway():
    found = told(VIGNETTE)
    assert (found["asOf"], found["label"]) == ("2026-01-15", "confirmed")
    assert found["rows"] == ["course/none", "interpret/deficient", "treat/neuro"]


def test_another_day_is_another_answer(saved):
    path = saved(body(prefetch=prefetch()))
    assert told("--as-of", "2026-01-15", path)["label"] == "confirmed"
    assert told("--as-of", "2030-01-15", path)["label"] != "confirmed"
    assert told("--as-of", "2026-01-09", path)["ignored"]


def test_without_a_day_it_is_today(saved):
    assert told(saved(body(prefetch=prefetch())))["asOf"] >= "2026-01-15"


def test_a_reader_sees_the_same():
    shown = run("explain", VIGNETTE)
    assert shown.exit_code == 0
    for words in ("uk-ng239", "confirmed", "interpret/deficient", "b12_deficient", "total B12 132 pmol/L", "WARNING"):
        assert words in shown.stdout


def test_what_the_record_says_is_never_read_as_markup(saved):
    sent = prefetch(conditions=bundle(problem(id="[red]x[/red]\x1b[2J")))
    shown = run("explain", "--as-of", "2026-01-15", saved(body(prefetch=sent)))
    assert "[red]x[/red]" in shown.stdout
    assert "\x1b" not in shown.stdout


def test_what_the_service_would_answer_with_412_is_exit_3(saved):
    result = run("explain", "--json", saved(body(prefetch={"patient": {"resourceType": "Patient", "id": "pt-2"}})))
    assert result.exit_code == 3
    assert result.stderr.startswith("b12-cds: the service would answer 412")
    assert result.stderr.count("\n") == 1
    assert json.loads(result.stdout)["cards"] == []


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (b"no JSON", "not JSON: line 1, column 1"),
        (body(hook="appointment-book"), "hook: is not the hook of this service"),
        (body(context={"userId": SECRET}), "context.patientId: is missing"),
        (body(prefetch=[SECRET]), "prefetch: is not of type object or null"),
    ],
)
def test_a_bad_request_is_exit_2_and_one_line_without_its_values(saved, request_, says):
    one_line(run("explain", saved(request_)), says)


def one_line(result: Result, says: str) -> None:
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("b12-cds: ")
    assert result.stderr.count("\n") == 1
    assert says in result.stderr
    assert SECRET not in result.stderr


def test_a_file_that_is_not_there_or_no_vignette_is_exit_2_and_one_line(tmp_path):
    one_line(run("explain", tmp_path / "none.json"), "none.json: No such file or directory")
    one_line(run("explain", tmp_path), "Is a directory")
    for number, text in enumerate(
        ("= no TOML", 'name = "no title"', 'title = "x"\n[[lab]]\nanalyte = "none"\n', "[[lab]]\nx = 1")
    ):
        path = tmp_path / f"{number}.toml"
        path.write_text(text)
        one_line(run("explain", path), f"{number}.toml: ")


def test_an_unknown_pathway_is_exit_2_and_says_which_there_are():
    one_line(
        run("explain", "--pathway", "xx-none", VIGNETTE), "there is no pathway 'xx-none'; known: uk-ng239, us-aafp"
    )


def test_nothing_is_called_without_fetch(saved):
    with loopback.serving(fhir_server()) as server:
        path = saved(body(prefetch=..., fhirServer=server.base))
        assert run("explain", path).exit_code == 3
        assert not server.requests
        assert told("--fetch", "--as-of", "2026-01-15", path)["label"] == "confirmed"
        assert server.requests


def test_fetch_calls_only_what_is_allowed(saved):
    one_line(run("explain", "--fetch", saved(body())), "names no fhirServer")
    path = saved(body(fhirServer="https://ehr.example.org/fhir"))
    one_line(run("explain", "--fetch", path), "not among the allowed FHIR bases")


def test_check_says_that_the_content_is_sound():
    result = run("check")
    assert result.exit_code == 0, result.output
    assert "is sound: uk-ng239" in result.stdout
    assert "not yet locally approved" in result.stdout


def test_check_names_every_fault_of_the_content(tmp_path):
    (tmp_path / "no-such-file.toml").write_text("x = 1")
    result = run("check", CDS_SITE_DIR=str(tmp_path))
    assert result.exit_code == 1
    assert "no-such-file.toml" in result.stderr
    assert "b12-cds: faults in the content: 1" in result.stderr


def test_table_prints_the_pathway_as_markdown_and_as_html():
    assert run("table").stdout.startswith("# ")
    assert run("table", "--html").stdout.startswith("<!doctype html>")
    one_line(run("table", "--pathway", "none"), "no pathway 'none'; known: uk-ng239")


def test_prefetch_prints_the_set_that_is_asked_for():
    assert "family\n  FamilyMemberHistory" in run("prefetch").stdout
    assert "family" not in run("prefetch", CDS_PREFETCH="minimal").stdout


@pytest.mark.parametrize("name", ["clients", "feedback", *HOOKS, *OUTGOING])
def test_every_schema_can_be_printed_and_is_one(name):
    printed = run("schema", name)
    assert printed.exit_code == 0
    Draft202012Validator.check_schema(json.loads(printed.stdout))


def test_a_schema_that_there_is_not_is_named_with_those_that_there_are():
    printed = run("schema", "client")
    assert printed.exit_code == 2
    assert "there is none of 'client'; allowed: clients, feedback, patient-view, " in printed.stderr


def test_an_answer_that_breaks_the_published_schema_is_a_fault_that_is_named():
    assert schema_faults("response", {"cards": []}) == []
    (fault,) = schema_faults("response", {"cards": 1})
    assert fault.startswith("cards: ")
