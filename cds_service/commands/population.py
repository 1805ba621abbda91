"""`b12-cds population run | export | summary`: a whole population reviewed from a FHIR Bulk Data extract."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from .parameters import Day

if TYPE_CHECKING:
    from ..cdshooks.client_config import ClientConfig
    from ..population.run import Progress

UNUSABLE = 2  # exit code
EXTRA = "population"
TOKEN = "CDS_FHIR_TOKEN"  # noqa: S105 (the name of a variable, not a token)
SIZES = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}
SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KMG]?)I?B?", re.IGNORECASE)
LEAST = 400_000_000  # bytes
OWNER_ONLY = 0o077
Folder = click.Path(exists=True, file_okay=False, path_type=Path)
NewFolder = click.Path(file_okay=False, path_type=Path)


class Size(click.ParamType[int]):
    """An amount of memory: 800M, 2G."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = SIZE.fullmatch(str(value))
        if not found or (size := int(float(found[1]) * SIZES[found[2].upper()])) < LEAST:
            self.fail(f"{value!r} is no size; allowed: {LEAST // 10**6}M or more, such as 800M or 2G", param, ctx)
        return size


@click.group()
def population() -> None:
    """Review the records of a whole population for recall and audit. Read the intended use first: deploy/safety."""
    os.umask(OWNER_ONLY)  # what is written names patients


@population.command()
@click.argument("extract", type=Folder, metavar="NDJSON_DIR")
@click.option("--out", type=NewFolder, required=True, help="The folder of the decisions; the same call goes on there.")
@click.option("--as-of", "as_of", type=Day(), required=True, help="Judge as on this day.")
@click.option("--pathway", default="", help="Another pathway than CDS_PATHWAY.")
@click.option("--site", type=Folder, help="Another CDS_SITE_DIR.")
@click.option("--workers", type=click.IntRange(1, 64), help="Processes (default: one for each core).")
@click.option("--memory", type=Size(), default="1G", show_default=True, help="For all processes together.")
@click.option("--format", "form", type=click.Choice(["parquet", "csv", "ndjson"]), default="parquet", show_default=True)
def run(
    extract: Path, out: Path, *, as_of: datetime, workers: int | None, memory: int, form: str, **asked: Any
) -> None:
    """Decide on every patient of an extract: NDJSON files as FHIR Bulk Data writes them.

    Writes decisions.FORMAT, one row a patient. A run that was interrupted goes on by the same call. What was begun by
    another content, day or extract is refused.
    """
    need_extra()
    from ..population.extract import ExtractUnusable
    from ..population.run import Plan, RunRefused, run_population

    client = client_for(**asked)
    cores = workers or os.cpu_count() or 1
    try:
        with progress_bar() as progress:
            made = run_population(Plan(extract, out, as_of.date(), form, cores, memory), client, progress)
    except (ExtractUnusable, RunRefused) as error:
        refuse(str(error))
    except KeyboardInterrupt:
        refuse("stopped; the same call goes on from here", 130)
    nobody, broken = (sum(each.values()) for each in (made.nobody, made.broken))
    click.echo(
        f"{out / made.decisions}: {made.patients} patients, content {made.content}, as of {made.as_of}."
        + (f" {nobody} entries name no patient and were not used." if nobody else "")
        + (f" {broken} lines are no JSON, and leave their patients' records incomplete." if broken else "")
    )


@population.command()
@click.option("--fhir", "base", required=True, metavar="URL", help="FHIR base: https, or http on this machine.")
@click.option("--out", type=NewFolder, required=True, help="The folder of the extract; the same call goes on there.")
@click.option("--group", default="", metavar="ID", help="Only the patients of this Group (default: all).")
@click.option("--files", default="", metavar="URL", help="Where the server's files lie, if not under its FHIR base.")
@click.option("--whole-types", is_flag=True, help="Ask for all results, and not only for those that are read.")
@click.option("--token-file", type=click.Path(path_type=Path), help="A file with the token (else CDS_FHIR_TOKEN).")
@click.option("--client", metavar="NAME", help="Ask for tokens as `watch` does for this client of clients.toml.")
@click.option("--site", type=Folder, help="Another CDS_SITE_DIR, whose codes are asked for.")
def export(base: str, out: Path, *, group: str, files: str, whole_types: bool, **of: Any) -> None:
    """Fetch an extract from a FHIR server by Bulk Data ($export), only what is read, and delete the job there.

    An export that was interrupted goes on by the same call. The token needs system/*.rs for the types that are read.
    """
    from ..population.bulk import ExportFailed, Wanted, server_for
    from ..population.bulk import export as fetch_extract

    wanted = Wanted(base, out, client_for("", of["site"]).templates, group, files, filtered=not whole_types)
    try:
        with progress_bar() as progress:
            exported = fetch_extract(wanted, server_for(wanted, token_source(of["client"], of["token_file"])), progress)
    except ExportFailed as error:
        refuse(f"export: {error}")
    except KeyboardInterrupt:
        refuse("stopped; the same call goes on from here", 130)
    click.echo(f"{out}: {', '.join(exported.types)}; as of {exported.transaction_time}.")


def token_source(name: str | None, file: Path | None) -> Callable[[], str]:
    """What gives a token at each call: the token endpoint of a watched client, a file, or the environment."""
    if name is None:
        token = read_token(file)
        return lambda: token
    from ..app import now
    from ..auth.backend_tokens import TokenEndpoint
    from ..settings import SettingsError, load_settings
    from .watch import client_of

    try:
        client = client_of(load_settings(), name)
    except SettingsError as error:
        refuse(f"export: {error}")
    watch = client.watch
    if watch is None or watch.credentials is None or file is not None:
        refuse(
            f"export: --client {name}: allowed: a client whose table watch has client_id, key and token_url, and no "
            "--token-file beside it"
        )
    endpoint = TokenEndpoint(watch.credentials, watch.private, client.ca_file)
    return lambda: endpoint.token(now().timestamp())[0]


def read_token(file: Path | None) -> str:
    """The token from the file, else from the environment; "" for none. It is never part of a message."""
    if file is None:
        return os.environ.get(TOKEN, "").strip()
    try:
        token = file.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        refuse(f"{file}: cannot be read: {error.strerror if isinstance(error, OSError) else 'it is no text in UTF-8'}")
    return token or refuse(f"{file}: the token file is empty")


@population.command()
@click.argument("out", type=Folder, metavar="DIR")
@click.option("--site", type=Folder, help="The site's folder of the run, if it is not CDS_SITE_DIR.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def summary(out: Path, site: Path | None, as_json: bool) -> None:
    """Count what a run has found, and write summary.json and measure-report.json (FHIR R4) beside it.

    No patient is named.
    """
    need_extra()
    from ..population.run import RunRefused
    from ..population.summary import SUMMARY, lines, summarised, write_summary

    content = client_for("", site).content
    try:
        found = summarised(out, content)
    except RunRefused as error:
        refuse(str(error))
    write_summary(out, found, content)
    click.echo((out / SUMMARY).read_text() if as_json else "\n".join(lines(found, content)), nl=not as_json)


def client_for(pathway: str, site: Path | None) -> ClientConfig:
    """What every patient is decided with, by the settings."""
    from ..app import client_config
    from ..content.content import load_content
    from ..content.faults import ContentError
    from ..content.files import cards_folder
    from ..settings import SettingsError, load_settings

    try:
        settings = load_settings(**({"pathway": pathway} if pathway else {}))
        return client_config(settings, load_content(cards_folder(), site or settings.site_dir))
    except (SettingsError, ContentError) as error:
        refuse(*str(error).splitlines())


def need_extra() -> None:
    """End with what to install where DuckDB is not here."""
    if find_spec("duckdb") is None:
        refuse(f"population needs DuckDB, which is not installed; install b12-cds[{EXTRA}]")


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A bar on the standard error stream; where that is no terminal, one line as each part begins."""
    out = Console(stderr=True)
    parts = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
    )
    with Bar(*parts, console=out, transient=True, disable=not out.is_terminal) as bar:
        tasks: dict[str, Any] = {}

        def show(what: str, done: float, of: float) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=of)
                if not out.is_terminal:
                    click.echo(f"b12-cds: {what}", err=True)
            bar.update(tasks[what], completed=done)

        yield show


def refuse(*lines: str | int) -> NoReturn:
    """End with these lines on the standard error stream; a number among them is the exit code."""
    for line in lines:
        if isinstance(line, str):
            click.echo(f"b12-cds: {line}", err=True)
    sys.exit(next((code for code in lines if isinstance(code, int)), UNUSABLE))
