"""An export by Bulk Data: what is asked, how patiently, what is fetched again, and what is refused."""

from __future__ import annotations

import json
import stat
from urllib.parse import parse_qs

import pytest
from click.testing import CliRunner
from joserfc import jwt

from cds_service.commands.population import population
from cds_service.http.client import Reply
from cds_service.population.bulk import ExportFailed, Wanted, export, pause_of, server_for, type_filters
from cds_service.population.extract import ExtractUnusable, read_extract
from cds_service.population.run import Plan, run_population
from tests.book import book, content, service
from tests.hooks.tokens import key as new_key
from tests.population.bulk_server import MOMENT, TOKEN, query_of, serving
from tests.population.conftest import DAY, environment
from tests.population.patients import TYPES, as_patient, decisions, lines_of, resources_of, write_extract
from tests.watch.fhir_store import FhirStore
from tests.watch.fhir_store import serving as served_store
from tests.watch.installed import Installed

TEMPLATES = service("uk-ng239").templates
DECLARED = tuple(sorted(set(TYPES.values()) | {"Encounter"}))
BY_NAME = {each.name: each for each in book("uk-ng239")}
NAMES = ("01-deficient-vegan", "12-on-injections-silent", "course-lapsed-antibody")
PATIENTS = {name: lines_of(resources_of(BY_NAME[name], content())) for name in NAMES}


def files():
    """What the server holds of these patients, by type."""
    found = {}
    for name, lines in PATIENTS.items():
        for kind, own in as_patient(lines, name).items():
            found.setdefault(kind, []).extend(own)
    return found


def exported(server, out, token=TOKEN, waits=None, parts=None, **asked):
    """Export without waiting; `waits` holds how long it would have waited, `parts` what it said it was doing."""
    wanted = Wanted(server.base, out, TEMPLATES, **asked)
    made = server_for(wanted, lambda: token)
    made.wait = [].append if waits is None else waits.append
    try:
        return export(wanted, made, lambda part, *_: None if parts is None else parts.setdefault(part))
    finally:
        made.http.close()


def test_an_extract_is_fetched_and_decided_as_one_that_lies_there(tmp_path):
    waits, parts = [], {}
    with serving(files(), DECLARED) as server:
        found = exported(server, tmp_path / "in", waits=waits, parts=parts)
        assert [each[1] for each in server.asked("DELETE", "")] == ["/fhir/jobs/1"]
    assert waits == [7.0, 7.0]
    assert list(parts) == ["the server makes the extract, and is asked again after 7 s", "files are fetched"]
    assert found.transaction_time == MOMENT and set(found.types) == set(TYPES.values())
    other = write_extract(tmp_path / "other", PATIENTS, TYPES.values())
    rows = []
    for number, extract in enumerate((tmp_path / "in", other)):
        out = tmp_path / f"out{number}"
        made = run_population(Plan(extract, out, DAY, "ndjson"), service("uk-ng239"), lambda *_: None)
        rows.append(decisions(out / "decisions.ndjson"))
    assert rows[0] == rows[1] and len(rows[0]) == len(NAMES)
    assert made.done


def test_only_what_is_read_is_asked_for_with_the_filters_of_the_templates(tmp_path):
    with serving(files(), DECLARED) as server:
        exported(server, tmp_path / "in")
        ((_, address, headers, body),) = server.asked("POST", "$export")
    assert address == "/fhir/Patient/$export" and headers["prefer"].startswith("respond-async")
    named = {}
    for each in body["parameter"]:
        named.setdefault(each["name"], []).append(each["valueString"])
    assert set(named["_type"][0].split(",")) == set(TYPES.values())
    assert named["_typeFilter"] == type_filters(DECLARED, TEMPLATES)
    assert len(named["_typeFilter"]) == 4 and all(each.startswith("Observation?code=") for each in named["_typeFilter"])
    assert "patient" not in "".join(named["_typeFilter"]) and "2132-9" in named["_typeFilter"][0]


def test_a_server_without_post_is_asked_for_whole_types_and_a_group_is_named(tmp_path):
    with serving(files(), DECLARED, takes_post=False) as server:
        exported(server, tmp_path / "in", group="g1")
        ((_, address, _, _),) = server.asked("GET", "$export")
    assert address.startswith("/fhir/Group/g1/$export?")
    assert set(query_of(address)["_type"][0].split(",")) == set(TYPES.values())


@pytest.mark.parametrize("takes_post", [True, False])
def test_a_server_that_exports_only_what_is_the_patients_own_is_asked_without_medications(takes_post, tmp_path):
    declared = (*DECLARED, "Medication")
    with serving(files(), declared, own_only=True, takes_post=takes_post) as server:
        found = exported(server, tmp_path / "in")
        assert len(server.asked("POST" if takes_post else "GET", "$export")) == 2
    assert "Medication" not in found.types and "MedicationRequest" in found.types


def test_a_type_that_the_server_does_not_have_is_not_asked_for_and_absent(tmp_path):
    with serving(files(), tuple(each for each in DECLARED if each != "AllergyIntolerance")) as server:
        found = exported(server, tmp_path / "in")
    assert "AllergyIntolerance" not in found.types and "FamilyMemberHistory" in found.types
    assert "AllergyIntolerance" not in read_extract(tmp_path / "in").asked_for


def test_where_the_server_reports_errors_only_types_that_came_are_certain(tmp_path):
    with serving(files(), DECLARED, errors=1) as server:
        found = exported(server, tmp_path / "in")
    assert set(found.types) == set(files())


def test_files_that_are_put_off_or_break_off_are_fetched_again(tmp_path):
    waits = []
    with serving(files(), DECLARED, looks=0, put_off=1, broken=1) as server:
        exported(server, tmp_path / "in", waits=waits)
    assert waits.count(3.0) == len(files())
    for kind, lines in files().items():
        (path,) = (tmp_path / "in").glob(f"{kind}.*")
        assert path.read_bytes().splitlines() == lines


def test_an_export_that_was_interrupted_goes_on_with_the_job_that_was_begun(tmp_path):
    with serving(files(), DECLARED, looks=0, put_off=4) as server:
        with pytest.raises(ExportFailed, match="answered 429; the same call tries again"):
            exported(server, tmp_path / "in")
        assert (tmp_path / "in" / "job.json").is_file() and not (tmp_path / "in" / "export.json").exists()
        server.at.update({f"put off {kind}": 0 for kind in files()})
        exported(server, tmp_path / "in")
        assert len(server.asked("POST", "$export")) == 1
        before = len(server.calls)
        exported(server, tmp_path / "in")
        assert len(server.calls) == before, "an export that is done asks nothing"


def test_a_part_that_is_left_of_a_job_that_ended_is_no_extract(tmp_path):
    """Who was in the files that did not come would stand in the list as one who was never tested."""
    with serving(files(), DECLARED, looks=0) as server:
        server.at["put off Observation"] = 9
        with pytest.raises(ExportFailed, match="answered 429"):
            exported(server, tmp_path / "in")
        assert list((tmp_path / "in").glob("*.ndjson"))
        server.status = 404
        with pytest.raises(ExportFailed, match="holds a part of what it made; allowed"):
            exported(server, tmp_path / "in")
    with pytest.raises(ExtractUnusable, match="its export has not ended"):
        read_extract(tmp_path / "in")


def test_a_file_with_fewer_lines_than_counted_is_not_used(tmp_path):
    with serving(files(), DECLARED, looks=0, counted=1) as server, pytest.raises(ExportFailed, match="lines came of"):
        exported(server, tmp_path / "in")
    assert not list((tmp_path / "in").glob("*.ndjson"))


@pytest.mark.parametrize("status", [404, 410, 400])
def test_a_job_that_ended_without_files_is_begun_anew_by_the_next_call(status, tmp_path):
    with serving(files(), DECLARED, looks=0, status=status) as server:
        with pytest.raises(ExportFailed, match=f"ended the job with status {status}"):
            exported(server, tmp_path / "in")
        server.status = 0
        exported(server, tmp_path / "in")
        assert len(server.asked("POST", "$export")) == 2


def test_addresses_that_the_server_writes_under_another_host_are_called_at_its_base(tmp_path):
    with serving(files(), DECLARED, written_base="http://internal:8080/fhir") as server:
        exported(server, tmp_path / "in")
    assert read_extract(tmp_path / "in").files


def test_promise_5_files_elsewhere_are_not_called_unless_the_operator_says_so(tmp_path):
    with serving(files(), DECLARED) as storage:
        elsewhere = f"http://localhost:{storage.base.rpartition(':')[2].partition('/')[0]}/fhir/files"
        refused = pytest.raises(ExportFailed, match=r"lie at bucket\.example\.org, which may not be called")
        with serving(files(), DECLARED, files_at="https://bucket.example.org/x") as server, refused:
            exported(server, tmp_path / "in")
        with serving(files(), DECLARED, files_at=elsewhere) as server:
            exported(server, tmp_path / "allowed", files=elsewhere)
    assert storage.asked("GET", "/files/Patient")


def test_a_token_that_is_not_accepted_is_said_and_not_repeated(tmp_path):
    with serving(files(), DECLARED) as server, pytest.raises(ExportFailed, match="does not allow") as failed:
        exported(server, tmp_path / "in", token="a-secret-of-somebody")
    assert "secret" not in str(failed.value)


@pytest.mark.parametrize("address", ["ftp://x/fhir", "http://ehr.example.org/fhir", "https://ehr.example.org/fhir?x=1"])
def test_an_address_that_may_not_be_called_is_refused(address, tmp_path):
    with pytest.raises(ExportFailed, match="--fhir: "):
        server_for(Wanted(address, tmp_path, TEMPLATES), TOKEN)


def test_a_folder_that_holds_something_else_is_not_added_to(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "Patient.ndjson").write_text("")
    with serving(files(), DECLARED) as server, pytest.raises(ExportFailed, match="holds NDJSON files already"):
        exported(server, tmp_path / "in")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 5.0),
        ({"retry-after": "12"}, 12.0),
        ({"retry-after": "99999"}, 600.0),
        ({"retry-after": "soon"}, 5.0),
        ({"retry-after": "Wed, 14 Jan 2026 02:00:30 GMT", "date": "Wed, 14 Jan 2026 02:00:00 GMT"}, 30.0),
        ({"retry-after": "Wed, 14 Jan 2026 02:00:00 GMT", "date": "Wed, 14 Jan 2026 02:00:30 GMT"}, 0.0),
    ],
)
def test_the_server_says_when_it_wants_to_be_asked_again(headers, seconds):
    assert pause_of(Reply(202, headers, b""), 5.0) == seconds


def test_the_command_exports_and_keeps_the_token_out_of_everything(tmp_path, call, monkeypatch):
    (tmp_path / "token").write_text(TOKEN)
    with serving(files(), DECLARED, looks=0) as server:
        ended = call("export", "--fhir", server.base, "--out", tmp_path / "in", "--token-file", tmp_path / "token")
    assert ended.returncode == 0, ended.stderr
    assert f"as of {MOMENT}" in ended.stdout
    assert ended.stderr == "b12-cds: files are fetched\n"
    paths = list((tmp_path / "in").iterdir())
    assert TOKEN not in ended.stdout + ended.stderr + "".join(path.read_text() for path in paths)
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in paths)
    assert json.loads((tmp_path / "in" / "export.json").read_text())["types"]
    assert "CDS_FHIR_TOKEN" not in environment()


def test_the_command_asks_for_tokens_as_the_watcher_does_for_a_client(tmp_path):
    key, asked = new_key("ES384", "export"), []

    def token_endpoint(body):
        form = {name: value for name, (value,) in parse_qs(body.decode(), strict_parsing=True).items()}
        claims = jwt.decode(form["client_assertion"], key, algorithms=["ES384"]).claims
        asked.append((claims["iss"], form["grant_type"]))
        return 200, {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 300}

    store = FhirStore()
    store.token_endpoint = token_endpoint
    (tmp_path / "key.json").write_text(json.dumps(key.as_dict(private=True)))
    with serving(files(), DECLARED, looks=0) as server, served_store(store):
        more = f'client_id = "b12-export"\nkey = "key.json"\ntoken_url = "{store.base.replace("/fhir", "/token")}"'
        installed = Installed(tmp_path, server.base, more)
        words = ["export", "--fhir", server.base, "--out", str(tmp_path / "in"), "--client", "ward"]
        ended = CliRunner().invoke(population, words, env=installed.settings)
    assert ended.exit_code == 0, ended.output
    assert asked == [("b12-export", "client_credentials")], "one token serves all calls"
    assert (tmp_path / "in" / "export.json").is_file()
    nobody = CliRunner().invoke(population, [*words[:-1], "other"], env=installed.settings)
    assert nobody.exit_code == 2 and "no watched client 'other'; allowed: ward" in nobody.output
