"""Decides on a whole population on Spark: `spark-submit decide.py NDJSON_DIR --out DIR --as-of DATE`.

Every worker needs b12-cds[spark], the same settings (CDS_SITE_DIR ...), and reaches both folders. The rows are those of
`b12-cds population run`, in a folder decisions.parquet; `b12-cds population summary DIR` counts them.
"""

from __future__ import annotations

import os
from datetime import datetime
from functools import partial
from pathlib import Path

import click
from pyspark.sql import SparkSession

from cds_service.commands.population import OWNER_ONLY, client_for, refuse
from cds_service.population.extract import ExtractUnusable
from cds_service.population.run import Plan, RunRefused
from cds_service.population.spark import run_on_spark

Folder = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.argument("extract", type=Folder, metavar="NDJSON_DIR")
@click.option("--out", type=Folder, required=True)
@click.option("--as-of", "as_of", type=click.DateTime(["%Y-%m-%d"]), required=True)
@click.option("--pathway", default="")
@click.option("--site", type=Folder)
@click.option("--master", help="The Spark master, where spark-submit does not say it: local[2].")
def main(extract: Path, out: Path, as_of: datetime, pathway: str, site: Path | None, master: str | None) -> None:
    """Decide on every patient of an extract."""
    os.umask(OWNER_ONLY)
    builder = SparkSession.builder.appName("b12-cds population")
    spark = (builder.master(master) if master else builder).getOrCreate()
    try:
        made = run_on_spark(spark, Plan(extract, out, as_of.date()), partial(client_for, pathway, site))
    except (ExtractUnusable, RunRefused) as error:
        refuse(str(error))
    finally:
        spark.stop()
    click.echo(f"{out / made.decisions}: {made.patients} patients, content {made.content}, as of {made.as_of}.")


if __name__ == "__main__":
    main()
