"""`b12-cds examples`: the example patients as a FHIR server takes them, written to files or into a server.

A fixture patient is a collection with dates as days ago. Here it becomes a transaction that writes each resource under
its own id, dated back from today, so that it can be loaded again on any later day.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal, NoReturn

import click
import msgspec

from ..bounds import MEGABYTE
from ..examples.fixture_patients import patients_folder, read_patient, transaction
from ..fetching import FetchFailed
from ..http.addresses import Base, Policy
from ..http.client import HttpClient, Outgoing, Reply
from .given import BadOption, fhir_base, read_token
from .parameters import Day
from .site_check import printable

Json = dict[str, Any]
FHIR_JSON = "application/fhir+json"
SECONDS = 60.0  # for one patient
LONGEST = 300  # characters of what a server says
LARGEST_ANSWER = 10 * MEGABYTE
ENCODER = msgspec.json.Encoder(decimal_format="number")


class CannotLoad(Exception):
    """The server does not take the patients. Its text is one line for the operator."""


def example_names() -> list[str]:
    """The names of the example patients."""
    return sorted(path.stem for path in patients_folder().glob("*.json"))


def example_bundles(today: date) -> Iterator[tuple[str, Json]]:
    """Each example patient by name: the transaction that writes the record as it is on that day."""
    for name in example_names():
        yield name, transaction(read_patient(patients_folder() / f"{name}.json", today))


def load_examples(base: Base, token: str, today: date, note: Callable[[str], None]) -> int:
    """Write every example patient into a FHIR server; how many resources that were. CannotLoad says why not.

    `note` hears a line for each patient. What is there under the same ids is replaced.
    """
    most = LARGEST_ANSWER * len(example_names())
    policy = Policy(bases=(base,), answer_bytes=LARGEST_ANSWER, call_bytes=most)
    send, why = HttpClient(policy).send_for(base.url, token)
    if send is None:
        raise CannotLoad(why)
    written = 0
    for name, bundle in example_bundles(today):
        request = Outgoing("POST", "", ENCODER.encode(bundle), {"Content-Type": FHIR_JSON, "Accept": FHIR_JSON})
        try:
            reply = send(request, time.monotonic() + SECONDS)
        except FetchFailed as failed:
            raise CannotLoad(f"{name}: {failed.reason}") from None
        if reply.status not in (200, 201):
            raise CannotLoad(f"{name}: the FHIR server refuses it with {reply.status}{diagnostics(reply)}")
        if fault := not_written(bundle, reply):
            raise CannotLoad(f"{name}: {fault}")
        written += len(bundle["entry"])
        note(f"{name}: {len(bundle['entry'])} resources")
    return written


class Done(msgspec.Struct):
    """What became of one entry."""

    status: str  # as in "201 Created"


class Entry(msgspec.Struct):
    response: Done


class Written(msgspec.Struct):
    """What a server says of a transaction that it has understood as one."""

    type: Literal["transaction-response", "batch-response"]
    entry: list[Entry]
    resource_type: Literal["Bundle"] = msgspec.field(name="resourceType")


def not_written(bundle: Json, reply: Reply) -> str:
    """What of a patient a server has not written though its answer is a 200: a server that takes a transaction for a
    batch writes a part, one that stores it as a Bundle none, and a page that asks for a name is a 200 too."""
    sent = [entry["request"]["url"] for entry in bundle["entry"]]
    try:
        became = [entry.response.status for entry in msgspec.json.decode(reply.body, type=Written).entry]
    except msgspec.DecodeError:
        became = []
    if len(became) != len(sent):
        return f"the FHIR server answers {reply.status} and does not say of each resource that it was written"
    for url, status in zip(sent, became, strict=True):
        if not status.startswith("2"):
            return f"the FHIR server refuses {url} with {one_line(status)}"
    return ""


class Issue(msgspec.Struct):
    code: str = ""
    diagnostics: str = ""


class Outcome(msgspec.Struct):
    issue: list[Issue]


def diagnostics(reply: Reply) -> str:
    """What an OperationOutcome says first, for the end of a line."""
    try:
        issues = msgspec.json.decode(reply.body, type=Outcome).issue
    except msgspec.DecodeError:
        return ""
    said = next((each.diagnostics or each.code for each in issues), "")
    return f": {one_line(said)}" if said else ""


def one_line(text: str) -> str:
    """A server's words, not endless and without commands to the terminal."""
    return " ".join(printable(text[:LONGEST]).split())


@click.group()
def examples() -> None:
    """The example patients (invented), for a FHIR server: write them to files, or load them into a server."""


@examples.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), metavar="DIR")
@click.option("--as-of", "as_of", type=Day(), help="Dated back from this day (default: today).")
def export(folder: Path, as_of: datetime | None) -> None:
    """Write one FHIR R4 transaction a patient to DIR, to be posted to the base of any server."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, bundle in example_bundles(day(as_of)):
            path = folder / f"{name}.json"
            path.write_bytes(msgspec.json.format(ENCODER.encode(bundle), indent=2) + b"\n")
            click.echo(path)
    except OSError as error:
        refuse(f"export: {error.filename}: {error.strerror}")


@examples.command()
@click.option("--fhir", "url", required=True, metavar="URL", help="FHIR base: https, or http on this machine.")
@click.option("--token-file", type=click.Path(path_type=Path), help="A file with the token (else CDS_FHIR_TOKEN).")
@click.option("--as-of", "as_of", type=Day(), help="Dated back from this day (default: today).")
def load(url: str, token_file: Path | None, as_of: datetime | None) -> None:
    """Write them into a FHIR server for tests: each resource under its own id, what is there under it is replaced."""
    try:
        written = load_examples(fhir_base(url), read_token(token_file), day(as_of), click.echo)
    except (CannotLoad, BadOption) as error:
        refuse(f"load: {error}")
    click.echo(f"{written} resources of {len(example_names())} patients")


def day(as_of: datetime | None) -> date:
    """The day from which dates count back."""
    return as_of.date() if as_of else datetime.now(UTC).date()


def refuse(line: str) -> NoReturn:
    click.echo(f"b12-cds: examples {line}", err=True)
    sys.exit(2)
