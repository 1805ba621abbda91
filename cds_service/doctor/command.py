"""`b12-cds doctor`: what was asked on the command line, examined under a progress bar and printed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ..commands.display import console
from ..evaluate import Service
from . import report
from .access import BadAddress, CannotExamine, Limits, server_at
from .document import document
from .examine import QUESTIONS, Request, Tell, examine

TOKEN = "CDS_FHIR_TOKEN"  # noqa: S105 (the name of a variable, not a token)
LIMITS = Limits()
LONGEST_TOKEN = 20_000
LONGEST_LIST = 100_000

__all__ = ["Asked", "CannotExamine", "run"]


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of the command."""

    url: str
    token_file: Path | None
    patients_file: Path | None
    prefetch: str | None
    site: Path | None
    as_json: bool


def run(asked: Asked, load: Callable[[], Service], now: datetime, call_seconds: float) -> None:
    """Examine and print. Raises CannotExamine. The service is loaded when the address has proved to be one."""
    server = server_at(asked.url, read_token(asked.token_file), LIMITS)
    patients = read_patients(asked.patients_file)
    service = load()
    request = Request(
        service=service,
        timed_sets=(asked.prefetch,) if asked.prefetch else tuple(service.content.prefetch),
        patients=patients,
        site=asked.site,
        call_seconds=call_seconds,
        has_token=server.has_token,
    )
    with progress() as tell:
        found = examine(server, request, now, tell)
    told = document(found, service.content)
    if asked.as_json:
        click.echo(json.dumps(told, indent=2))
    else:
        report.show(console(), told)


@contextmanager
def progress() -> Iterator[Tell]:
    """A bar on the standard error stream, where that is a terminal: the standard output holds the result alone."""
    out = Console(stderr=True)
    parts = (SpinnerColumn(), BarColumn(), TextColumn("{task.completed}/{task.total} {task.description}"))
    with Progress(*parts, TimeElapsedColumn(), console=out, transient=True, disable=not out.is_terminal) as bar:
        task = bar.add_task("", total=QUESTIONS)
        asked = 0

        def tell(question: str) -> None:
            nonlocal asked
            bar.update(task, description=question, completed=asked)
            asked += 1

        yield tell


def read_token(file: Path | None) -> str:
    """The token from the file, else from the environment; "" for none. It is never part of a message."""
    text = os.environ.get(TOKEN, "") if file is None else read_file(file, LONGEST_TOKEN)
    token = text.strip()
    if file is not None and not token:
        raise BadAddress("the token file is empty")
    return token


def read_patients(file: Path | None) -> tuple[str, ...]:
    """Ids of patients, one a line, with or without "Patient/"."""
    if file is None:
        return ()
    lines = (line.strip().removeprefix("Patient/") for line in read_file(file, LONGEST_LIST).splitlines())
    found = tuple(line for line in lines if line)
    if not found:
        raise BadAddress("the file of patients is empty")
    return found


def read_file(file: Path, most: int) -> str:
    try:
        with file.open(encoding="utf-8-sig") as stream:
            return stream.read(most)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise BadAddress(f"{file}: cannot be read: {why}") from None
