"""`b12-cds doctor`: what was asked on the command line, examined under a progress bar and printed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from ..cdshooks.client_config import ClientConfig
from ..commands.display import console
from ..commands.given import BadOption, read_file, read_token
from .examine import QUESTIONS, ExaminationRequest, Progress, examine
from .fhir_server import BadAddress, CannotExamine, Limits, server_at
from .report import document, report_of, show

LIMITS = Limits()
LONGEST_LIST = 100_000

__all__ = ["CannotExamine", "Options", "run"]


@dataclass(frozen=True, slots=True)
class Options:
    """The options of the command."""

    url: str
    token_file: Path | None
    patients_file: Path | None
    prefetch: str | None
    site: Path | None
    as_json: bool


def run(options: Options, load: Callable[[], ClientConfig], now: datetime, call_seconds: float) -> None:
    """Examine and print. Raises CannotExamine. The service is loaded when the address has proved to be one."""
    try:
        server = server_at(options.url, read_token(options.token_file), LIMITS)
        patients = read_patients(options.patients_file)
    except BadOption as error:
        raise BadAddress(str(error)) from None
    service = load()
    request = ExaminationRequest(
        service=service,
        timed_sets=(options.prefetch,) if options.prefetch else tuple(service.content.prefetch),
        patients=patients,
        site=options.site,
        call_seconds=call_seconds,
        has_token=server.has_token,
    )
    with progress_bar() as progress:
        found = examine(server, request, now, progress)
    report = report_of(found, service.content)
    if options.as_json:
        click.echo(json.dumps(document(report), indent=2))
    else:
        show(console(), report)


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A bar on the standard error stream, where that is a terminal: the standard output holds the result alone."""
    out = Console(stderr=True)
    parts = (SpinnerColumn(), BarColumn(), TextColumn("{task.completed}/{task.total} {task.description}"))
    with Bar(*parts, TimeElapsedColumn(), console=out, transient=True, disable=not out.is_terminal) as bar:
        task = bar.add_task("", total=QUESTIONS)
        asked = 0

        def show_question(question: str) -> None:
            nonlocal asked
            bar.update(task, description=question, completed=asked)
            asked += 1

        yield show_question


def read_patients(file: Path | None) -> tuple[str, ...]:
    """Ids of patients, one a line, with or without "Patient/"."""
    if file is None:
        return ()
    lines = (line.strip().removeprefix("Patient/") for line in read_file(file, LONGEST_LIST).splitlines())
    found = tuple(line for line in lines if line)
    if not found:
        raise BadOption("the file of patients is empty")
    return found
