"""A population run: whose a line is, what is absent, what is refused, and the formats of its file."""

from __future__ import annotations

import gzip
import json
import re
import stat
from dataclasses import replace
from datetime import date

import pytest

from cds_service.population.extract import LONGEST_LINE, ExtractUnusable
from cds_service.population.grouping import Means, database
from cds_service.population.run import WORK, Plan, RunRefused, decisions_query, read_manifest, run_population
from tests.book import book, overlaid, service
from tests.population.conftest import DAY
from tests.population.patients import TYPES, decisions, lines_of, resources_of, write_extract

CLIENT = service("uk-ng239")
BY_NAME = {each.name: each for each in book("uk-ng239")}
DEFICIENT = lines_of(resources_of(BY_NAME["01-deficient-vegan"], CLIENT.content))
EVERY_TYPE = set(TYPES.values())


def without(lines, *kinds):
    return {kind: own for kind, own in lines.items() if kind not in kinds}


def resource(kind, **fields):
    return {"resourceType": kind, **fields}


def result(reference, value=150, **more):
    """A total B12 of a patient, however he is named."""
    code = {"coding": [{"system": "http://loinc.org", "code": "2132-9"}]}
    quantity = {"value": value, "unit": "ng/L"}
    return resource(
        "Observation", id=f"o-{value}", status="final", code=code, effectiveDateTime="2026-01-05",
        valueQuantity=quantity, **({"subject": {"reference": reference}} if reference else {}), **more,
    )  # fmt: skip


def person(name):
    return resource("Patient", id=name, gender="female", birthDate="1970-01-01")


def write(folder, resources, types=EVERY_TYPE, text=""):
    """An extract of resources as they are, and of some text behind the results."""
    folder.mkdir()
    for kind in types:
        own = [json.dumps(each) + "\n" for each in resources if each["resourceType"] == kind]
        (folder / f"{kind}.ndjson").write_text("".join(own) + (text if kind == "Observation" else ""))
    return folder


def by_patient(rows):
    return {row["patient"]: row for row in rows}


@pytest.mark.parametrize(
    "reference",
    ["Patient/a", "Patient/a/_history/3", "https://ehr.example.org/fhir/Patient/a"],
)
def test_an_entry_counts_for_the_patient_whom_it_names_however_the_reference_is_written(reference, tmp_path, run):
    rows = by_patient(run(write(tmp_path / "in", [person("a"), person("b"), result(reference)])))
    assert rows["a"]["label"] == "confirmed"
    assert rows["b"]["label"] == "not-tested"


def test_an_entry_that_names_no_patient_is_counted_and_used_for_nobody(tmp_path, run):
    extract = write(tmp_path / "in", [person("a"), result(""), result("Group/a", 151)])
    (row,) = run(extract)
    assert row["label"] == "not-tested"
    assert read_manifest(tmp_path / "out").nobody == {"Observation": 2}


def test_a_line_that_is_no_json_and_names_nobody_ends_the_run(tmp_path, run):
    extract = write(tmp_path / "in", [person("a")], text='{"resourceType":"Observation","id":"x')
    broken = next(path for path in extract.rglob("*.ndjson") if '"id":"x' in path.read_text())
    place = f"{broken}, line {broken.read_text().count(chr(10)) + 1}: is not one FHIR resource, and does not say"
    with pytest.raises(ExtractUnusable, match=re.escape(place)):
        run(extract)
    assert not (tmp_path / "out" / "decisions.ndjson").exists()
    broken.write_text(json.dumps(result("Patient/a")) + "\n")  # mended, the same call goes on
    assert by_patient(run(extract))["a"]["label"] == "confirmed"


NOT_ONE_RESOURCE = {
    "a list": lambda one: f"[{one}]",
    "a Bundle": lambda one: f'{{"resourceType":"Bundle","entry":[{{"resource":{one}}}]}}',
    "wrapped": lambda one: f'{{"resource":{one}}}',
    "no type": lambda one: one.replace("resourceType", "kind"),
    "a type that FHIR does not write so": lambda one: one.replace('"Observation"', '"observation"'),
    "two joined, of two patients": lambda one: one.replace("Patient/a", "Patient/b") + one,
    "one cut off before another": lambda one: one.replace("Patient/a", "Patient/b")[:-20] + one,
}


@pytest.mark.parametrize("written", NOT_ONE_RESOURCE.values(), ids=NOT_ONE_RESOURCE)
def test_a_line_that_is_not_one_resource_ends_the_run_and_is_not_dropped(written, tmp_path, run):
    """Its patient would stand in the list as one who was never tested."""
    people = [person("a"), person("b")]
    extract = write(tmp_path / "in", people, text="\n" + written(json.dumps(result("Patient/a"))) + "\n")
    place = f"{extract / 'Observation.ndjson'}, line 2: is not one FHIR resource"
    with pytest.raises(ExtractUnusable, match=re.escape(place)):
        run(extract)


@pytest.mark.parametrize("size", [-1, 500, 0])
def test_a_compressed_file_that_ends_early_ends_the_run(size, tmp_path, run):
    """DuckDB reads such a file as far as it goes, and who is behind the cut would have no results."""
    extract = write(tmp_path / "in", [person("a"), person("z")])
    lines = [json.dumps(result("Patient/a", value)) + "\n" for value in range(1000)]
    whole = gzip.compress("".join([*lines, json.dumps(result("Patient/z")) + "\n"]).encode())
    path = extract / "Observation.2.ndjson.gz"
    path.write_bytes(whole[:size])
    with pytest.raises(ExtractUnusable, match="is no whole gzip file"):
        run(extract)
    path.write_bytes(whole)
    assert by_patient(run(extract))["z"]["label"] == "confirmed"


def test_text_that_is_called_compressed_ends_the_run_in_one_line(tmp_path, run):
    extract = write(tmp_path / "in", [person("a")])
    (extract / "Observation.2.ndjson.gz").write_text(json.dumps(result("Patient/a")) + "\n")
    with pytest.raises(ExtractUnusable, match=r"Observation\.2\.ndjson\.gz: is no whole gzip file"):
        run(extract)


@pytest.mark.parametrize(
    "name",
    [
        "Observation.2.NDJSON", ".Observation.2.ndjson.part", "Observation.jsonl", "Observation.ndjson.1",
        "export.ndjson.txt", "Observation.2.json", "Observation.csv", "2026-Observation.parquet",
    ],
)  # fmt: skip
def test_a_file_of_lines_that_would_not_be_read_is_named(name, tmp_path, run):
    extract = write(tmp_path / "in", [person("a")])
    (extract / name).write_text(json.dumps(result("Patient/a")) + "\n")
    with pytest.raises(ExtractUnusable, match=re.escape(f"{name}: would not be read")):
        run(extract)


@pytest.mark.parametrize("name", ["README.md", "Observation.ndjson.sha256", "_SUCCESS", ".Observation.ndjson.crc"])
def test_what_holds_no_lines_may_lie_beside_an_extract(name, tmp_path, run):
    extract = write(tmp_path / "in", [person("a")])
    (extract / name).write_text("0\n")
    assert len(run(extract)) == 1


def test_an_export_that_has_not_ended_is_no_extract(tmp_path, run):
    extract = write(tmp_path / "in", [person("a")])
    (extract / "job.json").write_text("{}")
    with pytest.raises(ExtractUnusable, match="its export has not ended"):
        run(extract)
    (extract / "export.json").write_text(json.dumps({"types": ["Patient"], "transactionTime": "2026-01-14"}))
    assert len(run(extract)) == 1  # killed when only the job had not been forgotten


def test_a_line_that_is_no_json_and_says_no_type_leaves_everything_of_its_patient_incomplete(tmp_path, run):
    text = '{"subject":{"reference":"Patient/a"},"resou\n'
    whole, broken = (
        run(write(tmp_path / "1", [person("b")])),
        run(write(tmp_path / "2", [person("a"), person("b")], text=text), tmp_path / "out2"),
    )
    rows = by_patient(broken)
    assert rows["b"] == whole[0]
    assert rows["a"]["unavailable"] == ["b12"] and rows["a"]["label"] == "not-assessable"


def test_a_type_that_was_not_exported_is_absent_and_not_empty(tmp_path, run):
    types = EVERY_TYPE - {"AllergyIntolerance", "MedicationRequest", "MedicationStatement"}
    lines = without(DEFICIENT, "AllergyIntolerance", "MedicationRequest", "MedicationStatement")
    (absent,) = run(write_extract(tmp_path / "in", {"a": lines}, types))
    (empty,) = run(write_extract(tmp_path / "in2", {"a": lines}, EVERY_TYPE), tmp_path / "out2")
    assert absent["unavailable"] == ["medications", "medicationRequests", "allergies"]
    assert not any(each.startswith("medicine:") for each in absent["drafts"])
    assert empty["unavailable"] == []
    assert any(each.startswith("medicine:") for each in empty["drafts"])


def test_a_type_that_export_json_names_is_empty_where_no_file_holds_it(tmp_path, run):
    types = EVERY_TYPE - {"AllergyIntolerance"}
    extract = write_extract(tmp_path / "in", {"a": without(DEFICIENT, "AllergyIntolerance")}, types)
    (extract / "export.json").write_text(json.dumps({"types": sorted(EVERY_TYPE), "transactionTime": "2026-01-14"}))
    (row,) = run(extract)
    assert row["unavailable"] == []
    assert read_manifest(tmp_path / "out").extract_of == "2026-01-14"


def test_without_any_results_exported_nobody_can_be_assessed(tmp_path, run):
    extract = write_extract(tmp_path / "in", {"a": without(DEFICIENT, "Observation")}, EVERY_TYPE - {"Observation"})
    (row,) = run(extract)
    assert row["label"] == "not-assessable" and "b12" in row["unavailable"]
    assert row["measures"] == []


def test_a_patient_without_a_patient_resource_cannot_be_assessed(tmp_path, run):
    rows = by_patient(run(write(tmp_path / "in", [person("a"), result("Patient/a"), result("Patient/gone")])))
    assert rows["gone"]["label"] == "not-assessable" and rows["gone"]["unavailable"] == ["patient"]
    assert rows["a"]["label"] == "confirmed"


def test_two_patients_of_one_id_are_not_taken_for_one(tmp_path, run):
    """Extracts of two servers in one folder: results of one would be judged as those of the other."""
    again = {**person("b"), "meta": {"versionId": "2"}, "text": {"status": "generated"}}
    people = [person("a"), {**person("a"), "birthDate": "2015-01-01"}, person("b"), again]
    rows = by_patient(run(write(tmp_path / "in", [*people, result("Patient/a"), result("Patient/b")])))
    assert rows["a"]["label"] == "not-assessable" and rows["a"]["unavailable"] == ["patient"]
    said = "Patient: more than one of this id, and they differ"
    assert said in rows["a"]["not_judged"]
    assert rows["b"]["label"] == "confirmed" and said not in rows["b"]["not_judged"], "the same one, exported twice"


def test_lines_that_could_not_be_read_are_told_at_the_end(tmp_path, call):
    text = json.dumps(result("Patient/a")) + ",\n"
    extract = write(tmp_path / "in", [person("a")], text=text)
    found = call("run", extract, "--out", tmp_path / "out", "--as-of", "2026-01-15", "--workers", "1")
    assert "1 lines are no JSON, and leave their patients' records incomplete." in found.stdout


def test_an_order_that_only_refers_to_its_medicine_finds_it(tmp_path, run):
    order = resource(
        "MedicationRequest", id="r", status="active", intent="order", subject={"reference": "Patient/a"},
        medicationReference={"reference": "Medication/m"}, authoredOn="2026-01-10",
    )  # fmt: skip
    medicine = resource("Medication", id="m", code={"text": "Hydroxocobalamin 1 mg/ml injection"})
    found = run(write(tmp_path / "1", [person("a"), order, medicine], EVERY_TYPE | {"Medication"}), tmp_path / "o1")
    lost = run(write(tmp_path / "2", [person("a"), order], EVERY_TYPE), tmp_path / "o2")
    assert found[0]["course"] == "ordered"
    assert lost[0]["course"] == "none" and lost[0] != found[0]
    assert "Medication: a medicine is only a reference that could not be looked up" in lost[0]["not_judged"]
    assert not any(each.startswith("Medication:") for each in found[0]["not_judged"])


def test_an_appointment_belongs_to_the_patient_among_its_participants(tmp_path, run):
    booking = resource(
        "Appointment", id="b", status="booked", start="2026-02-01T10:00:00Z",
        serviceType=[{"text": "Vitamin B12 injection"}], participant=[{"actor": {"reference": "Location/x"}},
                                                                   {"actor": {"reference": "Patient/a"}}],
    )  # fmt: skip
    client = replace(
        CLIENT, templates={**CLIENT.templates, "appointments": "Appointment?patient={{context.patientId}}"}
    )
    run(write(tmp_path / "in", [person("a"), booking], EVERY_TYPE | {"Appointment"}), client=client)
    manifest = read_manifest(tmp_path / "out")
    assert manifest.lines["Appointment"] == 1 and manifest.nobody == {}


def test_an_odd_resource_costs_itself_and_not_its_neighbours(tmp_path, run):
    odd = result("Patient/a", 90, interpretation=[[["H"]]])
    rows = run(write(tmp_path / "in", [person("a"), result("Patient/a"), odd]))
    assert rows[0]["label"] == "confirmed"


def test_compressed_files_and_several_of_one_type_are_read(tmp_path, run):
    extract = write(tmp_path / "in", [person("a")])
    with gzip.open(extract / "Observation.2.ndjson.gz", "wt") as file:
        file.write(json.dumps(result("Patient/a")) + "\n")
    (row,) = run(extract)
    assert row["label"] == "confirmed"


def test_a_file_whose_name_reads_as_a_pattern_is_that_file(tmp_path, run):
    """DuckDB took its neighbour twice instead."""
    extract = write(tmp_path / "in [1]*", [person("a")])
    for name, patient in (("Observation[1]", "a"), ("Observation1", "b"), ("Observation?", "c")):
        (extract / f"{name}.ndjson").write_text(json.dumps(result(f"Patient/{patient}")) + "\n")
    assert by_patient(run(extract))["a"]["label"] == "confirmed"
    assert read_manifest(tmp_path / "out").lines["Observation"] == 3


def test_a_folder_without_an_extract_is_refused(tmp_path, run):
    (tmp_path / "in").mkdir()
    with pytest.raises(ExtractUnusable, match=r"holds no file that ends in \.ndjson"):
        run(tmp_path / "in")


def test_an_extract_of_nobody_gives_no_rows(tmp_path, run):
    assert run(write(tmp_path / "in", [])) == []


@pytest.mark.parametrize("form", ["parquet", "csv", "ndjson"])
def test_the_rows_are_the_same_in_every_format(form, tmp_path):
    import duckdb

    patients = {name: lines_of(resources_of(BY_NAME[name], CLIENT.content)) for name in [*BY_NAME][:40]
                if BY_NAME[name].hook == "patient-view"}  # fmt: skip
    extract = write_extract(tmp_path / "in", patients, EVERY_TYPE)
    found = []
    for chosen in (form, "ndjson"):
        plan = Plan(extract, tmp_path / chosen, DAY, chosen)
        made = run_population(plan, CLIENT, lambda *_: None)
        with duckdb.connect() as connection:
            found.append(connection.execute(decisions_query(plan.out, made)).fetchall())
    assert found[0] == found[1] and len(found[0]) == len(patients)
    assert [row[0] for row in found[0]] == sorted(patients)


# What is begun is ended, by the same call only


def test_a_run_that_is_done_is_not_made_again(tmp_path, run):
    extract = write(tmp_path / "in", [person("a")])
    first = run(extract)
    made = (tmp_path / "out" / "decisions.ndjson").stat().st_mtime_ns
    assert run(extract) == first
    assert (tmp_path / "out" / "decisions.ndjson").stat().st_mtime_ns == made


def test_patients_lines_that_a_killed_run_left_are_deleted_or_named(tmp_path, run):
    """Killed when its decisions were whole, and the lines that they were made from were not deleted yet."""
    extract = write(tmp_path / "in", [person("a")])
    first, left = run(extract), tmp_path / "out" / WORK
    (left / "parts").mkdir(parents=True)
    (left / "parts" / "0000.ndjson").write_text("{}")
    assert run(extract) == first and not left.exists()
    left.symlink_to(tmp_path / "in")
    with pytest.raises(RunRefused, match="could not be deleted"):
        run(extract)


@pytest.mark.parametrize("what", ["as_of", "format", "extract"])
def test_another_day_format_or_extract_is_refused_in_a_folder_that_was_begun(what, tmp_path, run):
    extract = write(tmp_path / "in", [person("a")])
    run(extract)
    plan = Plan(extract, tmp_path / "out", DAY, "ndjson")
    if what == "as_of":
        plan = replace(plan, as_of=date(2026, 1, 16))
    elif what == "format":
        plan = replace(plan, format="csv")
    else:
        (extract / "Observation.ndjson").write_text(json.dumps(result("Patient/a")) + "\n")
    with pytest.raises(RunRefused, match=rf"begun otherwise \({what} differ\)"):
        run_population(plan, CLIENT, lambda *_: None)


def test_another_content_is_refused_in_a_folder_that_was_begun(tmp_path, run):
    extract = write(tmp_path / "in", [person("a")])
    run(extract)
    other = replace(CLIENT, content=replace(CLIENT.content, digest="0" * 64))
    with pytest.raises(RunRefused, match="digest"):
        run(extract, client=other)
    with pytest.raises(RunRefused, match="pathway"):
        run(extract, client=service("us-aafp"))


def test_two_runs_do_not_work_in_one_folder(tmp_path, run):
    extract = write(tmp_path / "in", [person("a")])

    def again(*_):
        with pytest.raises(RunRefused, match="another run is at work"):
            run(extract)

    run_population(Plan(extract, tmp_path / "out", DAY, "ndjson"), CLIENT, again)
    assert len(decisions(tmp_path / "out" / "decisions.ndjson")) == 1


def test_what_is_written_can_be_read_by_its_owner_only_and_work_files_are_gone(tmp_path, call):
    extract = write(tmp_path / "in", [person("a"), result("Patient/a")])
    ended = call("run", extract, "--out", tmp_path / "out", "--as-of", DAY, "--workers", "2")
    assert ended.returncode == 0, ended.stderr
    assert call("summary", tmp_path / "out").returncode == 0
    paths = [tmp_path / "out", *(tmp_path / "out").rglob("*")]
    assert {path.name for path in paths} >= {"decisions.parquet", "manifest.json", "summary.json"}
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in paths)
    assert not (tmp_path / "out" / WORK).exists()


def test_a_site_and_a_pathway_are_those_that_are_named(tmp_path, call):
    from cds_service.content.files import shipped_folder

    site = shipped_folder("fixtures", holding="sites") / "sites" / "ruh-bath"
    extract = write(tmp_path / "in", [person("a"), result("Patient/a")])
    ended = call("run", extract, "--out", tmp_path / "out", "--as-of", DAY, "--site", site, "--pathway", "us-aafp")
    assert ended.returncode == 0, ended.stderr
    manifest = read_manifest(tmp_path / "out")
    assert (manifest.digest, manifest.pathway) == (overlaid(site).digest, "us-aafp")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--memory", "1M"), "400M or more"),
        (("--memory", "much"), "such as 800M or 2G"),
        (("--pathway", "none"), "no pathway of that name"),
    ],
)
def test_what_cannot_be_used_is_one_line(given, said, tmp_path, call):
    ended = call("run", write(tmp_path / "in", [person("a")]), "--out", tmp_path / "out", "--as-of", DAY, *given)
    assert ended.returncode == 2 and said in ended.stderr and "Traceback" not in ended.stderr


def test_a_line_that_is_longer_than_any_resource_ends_the_run_in_one_line(tmp_path, run):
    extract = write(tmp_path / "in", [person("a"), result("Patient/a", note=[{"text": "x" * (LONGEST_LINE + 1)}])])
    with pytest.raises(ExtractUnusable, match="cannot be read as NDJSON"):
        run(extract)


def test_text_that_is_not_utf_8_ends_the_run_and_is_not_repeated(tmp_path, run):
    extract = write(tmp_path / "in", [person("a")])
    (extract / "Observation.2.ndjson").write_bytes('{"resourceType":"Observation","id":"Müller"}\n'.encode("latin-1"))
    with pytest.raises(ExtractUnusable, match="cannot be read as NDJSON in UTF-8") as failed:
        run(extract)
    assert "ller" not in str(failed.value)


def test_memory_that_is_not_enough_is_one_line(tmp_path):
    with pytest.raises(ExtractUnusable, match="more --memory"), database(Means(64_000_000, 1, tmp_path)) as opened:
        opened.execute(
            "set max_temp_directory_size = '0KB'; create table x as select repeat('x', 9999) from range(99999)"
        )
