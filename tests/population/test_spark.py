"""On Spark the rows are those of the plain run."""

from __future__ import annotations

import json
import subprocess
import sys

import duckdb
import pytest

from cds_service.population.run import decisions_query, read_manifest
from tests.book import content, service
from tests.conftest import ROOT
from tests.depth import chosen
from tests.population.conftest import DAY, environment
from tests.population.patients import TYPES, lines_of, resources_of, vignettes_of_an_extract, write_extract

PATIENTS = chosen(200, 10_000)
MASTER = chosen("local[1]", "local[2]")  # each core has a process of Python of its own, which reads the content
SHORT = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"  # for a Java program that ends soon
SPARK = {  # few rows: nobody looks at a page of them, and they need no two hundred parts at every shuffle
    "PYSPARK_SUBMIT_ARGS": "--conf spark.ui.enabled=false --conf spark.sql.shuffle.partitions=4"
    f" --driver-java-options '{chosen(SHORT, '-XX:+UseSerialGC')}' pyspark-shell",
    "SPARK_LAUNCHER_OPTS": SHORT,
    "SPARK_LOCAL_IP": "127.0.0.1",
    "PYSPARK_PYTHON": sys.executable,
}
ORDER = {
    "resourceType": "MedicationRequest", "id": "r", "status": "active", "intent": "order", "authoredOn": "2026-01-10",
    "subject": {"reference": "Patient/p00000"}, "medicationReference": {"reference": "Medication/m"},
}  # fmt: skip
MEDICINE = {"resourceType": "Medication", "id": "m", "code": {"text": "Hydroxocobalamin 1 mg/ml injection"}}


@pytest.mark.needs("java")
@pytest.mark.timeout(3600)
def test_the_rows_of_spark_are_those_of_the_plain_run(tmp_path, run):
    told = [lines_of(resources_of(each, content())) for each in vignettes_of_an_extract("uk-ng239")]
    patients = {f"p{place:05}": told[place % len(told)] for place in range(PATIENTS)}
    extract = write_extract(tmp_path / "in", patients, {*TYPES.values(), "Medication"})
    for each in (ORDER, MEDICINE):
        with (extract / f"{each['resourceType']}.000.ndjson").open("a") as file:
            file.write(json.dumps(each) + "\n")
    (extract / "Observation.000.ndjson").rename(extract / "Observation[0].ndjson")  # no pattern: that file
    with (extract / "Observation[0].ndjson").open("a") as file:
        file.write('{"resourceType":"Observation","subject":{"reference":"Patient/p00001"},"code":{"codi\n')
        file.write('{"resourceType":"Observation","id":"nobody"}\n')
    plain = run(extract, tmp_path / "plain")
    ended = subprocess.run(
        [sys.executable, str(ROOT / "deploy" / "spark" / "decide.py"), str(extract), "--out", str(tmp_path / "spark"),
         "--as-of", str(DAY), "--master", MASTER],
        env=environment() | SPARK,
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-3000:]
    made = read_manifest(tmp_path / "spark")
    with duckdb.connect() as connection:
        found = connection.execute(f"{decisions_query(tmp_path / 'spark', made)} order by patient").fetchall()
    columns = list(plain[0])
    due = columns.index("due")
    rows = [[str(value) if place == due and value else value for place, value in enumerate(row)] for row in found]
    assert [dict(zip(columns, row, strict=True)) for row in rows] == plain and len(plain) == PATIENTS
    known = read_manifest(tmp_path / "plain")
    assert (made.lines, made.broken, made.nobody) == (known.lines, known.broken, known.nobody)
    assert plain[0]["course"] == "ordered" and "Medication" in made.lines
    assert service("uk-ng239").content.digest == made.digest
