"""The same population run on Spark, for extracts beyond one machine: the rows are those of the plain run.

Lines are found by the same paths and patterns, shuffled so that those of a patient stand together, and decided by the
same function in each partition (`mapInPandas`). Medications are few and are sent to every worker. The folder of the
extract must be one that all workers reach.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import TYPE_CHECKING

import msgspec

from ..cdshooks.client_config import ClientConfig
from .decisions import Asked, Line, decide_lines, types_read
from .extract import (
    ANY_PATIENT,
    ANY_TYPE,
    BUNDLE,
    ID,
    ID_OF_REFERENCE,
    JOINED,
    MEDICATION,
    MEDICINES,
    PATIENT,
    PATIENT_ITSELF,
    PATIENT_OF_REFERENCE,
    RESOURCE_TYPE,
    SUBJECTS,
    TYPE,
    Extract,
    read_extract,
)
from .grouping import Grouped, refuse_cut_off, refuse_unknown
from .run import COLUMNS, MANIFEST, Manifest, Plan, RunRefused, ended, manifest_of, write_whole

PATTERN = re.compile(r"[\\{}\[\]*?]")  # in a name of a file: Spark takes patterns

if TYPE_CHECKING:
    import pandas
    from pyspark.sql import Column, DataFrame, SparkSession

KINDS = {"VARCHAR": "string", "VARCHAR[]": "array<string>", "INTEGER": "int", "DATE": "date"}  # DuckDB's, and Spark's
SCHEMA = ", ".join(f"{name} {KINDS[kind]}" for name, kind in COLUMNS.items())
ROWS_AT_ONCE = 1_000
Made = Callable[[], ClientConfig]  # a function of a module, so that workers find it by its name


@dataclass(frozen=True, slots=True)
class Task:
    """What each partition is asked: the client is made once in each process of a worker."""

    make: Made
    as_of: date
    exported: frozenset[str]

    def decide(self, frames: Iterator[pandas.DataFrame]) -> Iterator[pandas.DataFrame]:
        """The rows of the patients of one partition, whose lines stand together."""
        import pandas as pd

        waiting = []
        for row in decide_lines(lines_of(frames), Asked(client_made_by(self.make), self.as_of, self.exported)):
            waiting.append(msgspec.structs.asdict(row))
            if len(waiting) == ROWS_AT_ONCE:
                yield pd.DataFrame(waiting)
                waiting = []
        if waiting:
            yield pd.DataFrame(waiting)


@cache
def client_made_by(make: Made) -> ClientConfig:
    return make()


def lines_of(frames: Iterator[pandas.DataFrame]) -> Iterator[Line]:
    for frame in frames:
        yield from zip(frame["patient"].tolist(), frame["type"].tolist(), frame["line"].tolist(), strict=True)


def run_on_spark(spark: SparkSession, plan: Plan, make: Made) -> Manifest:
    """Make the decisions as a folder of Parquet, with the manifest of a plain run beside it."""
    client = make()
    types = types_read(client.templates)
    extract = read_extract(plan.extract, types)
    if (plan.out / MANIFEST).exists():
        raise RunRefused(f"{plan.out}: a run was made here; a run on Spark begins anew, allowed: another --out")
    plan.out.mkdir(parents=True, exist_ok=True, mode=0o700)
    refuse_cut_off(extract)
    lines = named_lines(spark, extract, types).persist()
    found = counted(lines)
    refuse_unknown(found, extract, types)
    exported = frozenset({*extract.asked_for, *found.lines, *found.broken, *found.nobody}) & types
    manifest = msgspec.structs.replace(manifest_of(plan, client, extract), types=tuple(sorted(types)))
    decided = with_medications(lines).repartition("patient").sortWithinPartitions("patient", "type", "line")
    rows = decided.mapInPandas(Task(make, plan.as_of, exported).decide, SCHEMA)
    rows.write.parquet(str(plan.out / manifest.decisions))
    write_whole(plan.out / MANIFEST, msgspec.json.encode(manifest))
    return ended(plan.out, manifest, found, exported)


def named_lines(spark: SparkSession, extract: Extract, types: frozenset[str]) -> DataFrame:
    """type, id, patient, medication, line and "is it JSON?" of every line of our types, and of those without a type."""
    from pyspark.sql import functions as f

    line = f.col("line")
    valid = f.get_json_object(line, "$").isNotNull()

    def first(paths: tuple[str, ...]) -> Column:
        return f.coalesce(*(f.get_json_object(line, path) for path in paths), f.lit(""))

    written = first((TYPE,))
    anybodys = f.when(valid, ~written.rlike(f"^{RESOURCE_TYPE}$") | (written == BUNDLE)).otherwise(line.rlike(JOINED))

    def of_broken(pattern: str) -> Column:
        return f.regexp_extract(line, pattern, 1)

    named = (
        spark.read.text([PATTERN.sub(r"\\\g<0>", str(path)) for path in extract.files])
        .select(f.col("value").alias("line"))
        .where(f.trim(line) != "")
        .withColumn("valid", valid)
        .withColumn("anybodys", anybodys)
        .withColumn("type", f.when(f.col("anybodys"), "").when(valid, written).otherwise(of_broken(ANY_TYPE)))
        .withColumn("id", first((ID,)))
        .withColumn("subject", f.regexp_extract(first(SUBJECTS), PATIENT_OF_REFERENCE, 1))
        .withColumn("medication", f.regexp_extract(first(MEDICINES), ID_OF_REFERENCE, 1))
    )
    kind, is_valid = f.col("type"), f.col("valid")
    patient = (
        f.when(f.col("anybodys"), "")
        .when((kind == PATIENT) & is_valid, f.col("id"))
        .when(kind == PATIENT, of_broken(PATIENT_ITSELF))
        .when(f.col("subject") != "", f.col("subject"))
        .when((kind == "Appointment") | ~is_valid, of_broken(ANY_PATIENT))
        .otherwise("")
    )
    ours = kind.isin(sorted(types)) | (kind == "")
    return named.where(ours).withColumn("patient", patient).drop("subject", "anybodys")


def counted(lines: DataFrame) -> Grouped:
    """How many lines there are of each type, and of how many patients: as the plain run counts them."""
    from pyspark.sql import functions as f

    of_nobody = (f.col("patient") == "") & (f.col("type") != MEDICATION)
    rows = lines.groupBy("type", "valid", of_nobody.alias("nobody")).count().collect()
    own = lines.where(f.col("type") != MEDICATION).where(f.col("patient") != "")
    patients = own.select("patient").distinct().count()
    return Grouped.of(0, patients, [(each["type"], each["valid"], each["nobody"], each["count"]) for each in rows])


def with_medications(lines: DataFrame) -> DataFrame:
    """Every patient's lines, with the Medications to which his orders refer."""
    from pyspark.sql import functions as f

    own = lines.where(f.col("type") != MEDICATION).where(f.col("patient") != "")
    known = lines.where((f.col("type") == MEDICATION) & f.col("valid")).groupBy("id").agg(f.min("line").alias("line"))
    asked = own.where(f.col("medication") != "").select("patient", f.col("medication").alias("id")).distinct()
    found = asked.join(f.broadcast(known), "id").select("patient", f.lit(MEDICATION).alias("type"), "line")
    return own.select("patient", "type", "line").unionByName(found)
