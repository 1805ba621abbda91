"""`b12-cds conform URL`: our checklist against any CDS service; each item is pass, fail or not tried. Text or JSON."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NoReturn

import click
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from ..auth.keys import ALGORITHMS
from ..bounds import MEGABYTE
from ..conform import behaviour, catalogue, fhir_server, messages, trust
from ..conform.calls import Service, Signer
from ..conform.checklist import FAIL, NOT_TRIED, PASS, Result, Unanswered, results
from ..examples.fixture_patients import patients_folder, read_patient
from ..http.addresses import Policy
from ..http.client import HttpClient
from .given import BadOption, base_of_option, read_file
from .sandbox import PATIENT, example_patient, page_origin
from .site_check import printable

CHECKS = (*catalogue.CHECKS, *messages.CHECKS, *behaviour.CHECKS, *fhir_server.CHECKS, *trust.CHECKS)
DISCOVERY = "/cds-services"
PORTS = 65_536
MOST = 20  # lines about one item that are printed
LONGEST_REQUEST, LONGEST_KEY = 30_000_000, 20_000  # characters
ANSWER, ALL = 10 * MEGABYTE, 1000 * MEGABYTE
LEGEND = (
    "Items are those of docs/protocol-checklist.md. Published: cds-hooks_2.0@N is number N of the requirements for CDS "
    "Hooks 2.0 in Inferno's test kit for Da Vinci CRD; cds-resp-N an invariant of the specification's logical models."
)


@click.command()
@click.argument("url", metavar="URL")
@click.option("--key", "key_file", type=click.Path(path_type=Path), help="A private JSON Web Key, to sign the calls.")
@click.option("--iss", help="The client that signs: `iss` of its tokens.")
@click.option("--origin", help="The origin of a page that should be allowed to call (CORS).")
@click.option("--patient", default=PATIENT, show_default=True, help="The example patient that is sent.")
@click.option("--request", "request_files", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
              help="A saved request that is sent for its hook instead; more than one is allowed.")  # fmt: skip
@click.option(
    "--fhir-listen",
    metavar="HOST:PORT",
    help="""Answer as a FHIR server at http://HOST:PORT/fhir, an address
              of this machine, with the example patient alone (invented). Off unless given: the service must be able to
              reach it, and must have that base among those that it may call. Then its use of access is tried too.""",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def conform(url: str, as_json: bool, fhir_listen: str | None, **options: Any) -> None:
    """Try a CDS service against our checklist. It is called 200 to 300 times and sent feedback: name one for tests."""
    now = datetime.now(UTC)
    try:
        service = service_under_trial(url, now.date(), **options)
        with answering_as_fhir_server(service, fhir_listen):
            service.reach()
            found = results(CHECKS, service)
    except BadOption as error:
        refuse(str(error))
    except Unanswered as error:
        refuse(f"{url}: {error}", 1)
    if as_json:
        click.echo(json.dumps(document(service.url, found), indent=2))
    else:
        click.echo("\n".join(lines(found)))
    sys.exit(1 if any(each.breaks for each in found) else 0)


def service_under_trial(
    url: str,
    today: date,
    *,
    key_file: Path | None,
    iss: str | None,
    origin: str | None,
    patient: str,
    request_files: tuple[Path, ...],
) -> Service:
    """The service at that address, and what it is called with. BadOption."""
    base = base_of_option(
        "URL", url.strip().rstrip("/").removesuffix(DISCOVERY), "an address like https://cds.example.org"
    )
    if (key_file is None) != (iss is None):
        raise BadOption("--key and --iss belong together: give both or neither")
    client = HttpClient(Policy(bases=(base,), answer_bytes=ANSWER, call_bytes=ALL), server="the service")
    send, why = client.send_for(base.url)
    if send is None:
        raise BadOption(f"URL: {why}")
    return Service(
        url=base.url,
        send=send,
        record=read_patient(patients_folder() / f"{example_patient(patient)}.json", today),
        today=today,
        signer=signer(key_file, iss) if key_file and iss else None,
        origin=page_origin(origin) if origin else "",
        given={each["hook"]: each for each in map(saved_request, request_files)},
    )


@contextmanager
def answering_as_fhir_server(service: Service, listen: str | None) -> Iterator[None]:
    """While the block runs, the service has a FHIR server that it may call, if one was asked for. BadOption."""
    if listen is None:
        yield
        return
    host, _, port = listen.rpartition(":")
    if not (host and port.isdigit() and int(port) < PORTS):
        raise BadOption("--fhir-listen: give HOST:PORT, an address of this machine, like 127.0.0.1:8099")
    with ExitStack() as stack:
        try:
            service.fhir = stack.enter_context(fhir_server.listening((host, int(port)), service.record))
        except OSError as error:
            raise BadOption(f"--fhir-listen: cannot listen on {listen}: {error.strerror}") from None
        yield


def saved_request(path: Path) -> dict[str, Any]:
    """A request from a file."""
    try:
        found = json.loads(read_file(path, LONGEST_REQUEST))
    except ValueError:
        raise BadOption(f"--request: {path} is no JSON") from None
    said = found if isinstance(found, dict) else {}
    if not isinstance(said.get("hook"), str) or not isinstance(said.get("context"), dict):
        raise BadOption(f"--request: {path} is no CDS Hooks request: give an object with hook and context")
    return said


def signer(path: Path, iss: str) -> Signer:
    """What signs the calls. The key is never part of a message."""
    try:
        stored = json.loads(read_file(path, LONGEST_KEY))
        key: ECKey | RSAKey = (ECKey if stored["kty"] == "EC" else RSAKey).import_key(stored)
        curve = stored.get("crv")
        algorithm = next(name for name, kind in ALGORITHMS.items() if kind == (stored["kty"], curve))
    except (ValueError, LookupError, TypeError, JoseError, StopIteration):
        raise BadOption(f"--key: {path} is no private JSON Web Key (EC on P-256 or P-384, or RSA)") from None
    if not key.is_private or not key.kid:
        raise BadOption(f"--key: {path} needs a private key with a kid")
    return Signer(iss, key, stored.get("alg") or algorithm, time.time)


# What is printed


def document(url: str, found: list[Result]) -> dict[str, Any]:
    """The results as JSON."""
    return {
        "service": url,
        "summary": dict(Counter(each.outcome for each in found)),
        "broken": [each.item.number for each in found if each.breaks],
        "items": [
            {
                "item": each.item.number,
                "level": each.item.level,
                "says": each.item.text,
                "published": list(each.published),
                "result": each.outcome,
                "reasons": list(each.reasons),
            }
            for each in found
        ],
    }


def lines(found: list[Result]) -> Iterator[str]:
    """The results for a reader: what fails first, then the rest in the checklist's order, and the counts."""
    for each in sorted(found, key=lambda result: result.outcome != FAIL):
        numbers = f" [{' '.join(each.published)}]" if each.published else ""
        yield f"{each.outcome:9}  {each.item.number:>4}  {each.item.level:4}  {each.item.text}{numbers}"
        yield from (f"{'':22} - {' '.join(printable(reason).split())}" for reason in each.reasons[:MOST])
        if more := each.reasons[MOST:]:
            yield f"{'':22} - and {len(more)} more, which --json lists"
    counts = Counter(each.outcome for each in found)
    yield "\n" + ", ".join(f"{counts[name]} {name}" for name in (PASS, FAIL, NOT_TRIED))
    if unmet := [each.item.number for each in found if each.breaks]:
        yield f"What must be and is not: item {', '.join(unmet)}"
    yield f"\n{LEGEND}"


def refuse(line: str, code: int = 2) -> NoReturn:
    click.echo(f"b12-cds: conform: {line}", err=True)
    sys.exit(code)
