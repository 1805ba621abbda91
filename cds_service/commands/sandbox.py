"""`b12-cds sandbox`: a FHIR server with the example patients, the service, and the links that join them in a browser.

The CDS Hooks Sandbox is a page that plays the record system: the browser reads the patient and the prefetch from the
FHIR server and calls the service, both on this machine. In a checkout the project's own HAPI server is started; with
an installed wheel, --fhir names any FHIR R4 server that lets the page read it.
"""

from __future__ import annotations

import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlencode

import click
from rich.console import Console
from rich.panel import Panel

from ..examples.fixture_patients import patients_folder, read_patient, tag_text
from ..http.addresses import Base, parse_base
from ..server.server import HOST
from .demo import (
    DISCOVERY,
    TRIED_PORTS,
    DemoFailed,
    end,
    free_port,
    last_line,
    log_file,
    service,
    wait_until_ready,
)
from .display import console
from .examples import CannotLoad, load_examples
from .given import BadOption, base_of_option, fhir_base, read_token

PUBLIC, LOCAL = "https://sandbox.cds-hooks.org", "http://localhost:8080"  # the latter: `npm run dev` of its checkout
SERVICE_PORT, HAPI_PORT = 8000, 8090  # the first that are tried; 8080 is the local Sandbox's
PATIENT = "neuro-metformin"
LAUNCHER = Path("deploy", "hapi", "run.py")
START_SECONDS = 25 * 60  # of HAPI; the first build downloads what it is made of
FHIR_LINE = "FHIR base: "
PORT = click.IntRange(1, 65535)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for on the command line. `base` None: start a server here."""

    base: Base | None
    token: str
    origins: tuple[str, ...]
    patient: str
    ports: Mapping[str, int | None]  # "service", "hapi"; None: the next free one


@dataclass(frozen=True, slots=True)
class Joined:
    """The addresses that a link joins."""

    fhir: str
    discovery: str
    patient: str

    def link(self, page: str, hook: str = "patient-view", screen: str = "patient-view") -> str:
        """The address that opens the Sandbox at `page` with this server, this patient and this service."""
        parameters = {
            "fhirServiceUrl": self.fhir,
            "patientId": self.patient,
            "serviceDiscoveryURL": self.discovery,
            "hook": hook,
            "screen": screen,
        }
        return f"{page}/?{urlencode(parameters)}"


@click.command()
@click.option("--fhir", "url", metavar="URL", help="A FHIR R4 server for tests, instead of starting HAPI.")
@click.option("--token-file", type=click.Path(path_type=Path), help="A token for it, to load the patients.")
@click.option("--origin", "origins", multiple=True, metavar="ORIGIN",
              help=f"A page that may call; more than one is allowed. Without it {PUBLIC} and {LOCAL}.")  # fmt: skip
@click.option("--patient", default=PATIENT, show_default=True, help="The example patient that the links open.")
@click.option("--port", type=PORT, help=f"The service's port; without it the next free one from {SERVICE_PORT}.")
@click.option("--fhir-port", type=PORT, help=f"HAPI's port; without it the next free one from {HAPI_PORT}.")
def sandbox(
    url: str | None, token_file: Path | None, origins: tuple[str, ...], patient: str, **ports: int | None
) -> None:
    """Try the service in the CDS Hooks Sandbox: a FHIR server with the example patients, the service, and a link."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(0))
    try:
        wanted = Wanted(
            base=fhir_base(url) if url else None,
            token=read_token(token_file),
            origins=tuple(page_origin(each) for each in origins) or (PUBLIC, LOCAL),
            patient=example_patient(patient),
            ports={"service": ports["port"], "hapi": ports["fhir_port"]},
        )
        run_sandbox(wanted, console())
    except (BadOption, CannotLoad, DemoFailed) as error:
        refuse(str(error))


def run_sandbox(wanted: Wanted, out: Console) -> None:
    """Everything, until a signal (SystemExit) or until one of the programs ends by itself."""
    today = datetime.now(UTC).date()
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="b12-cds-sandbox-")))
        programs = {}
        base = wanted.base
        if base is None:
            programs["HAPI"] = running.enter_context(hapi(wanted))
            base = parse_base(address_of(programs["HAPI"], out))
        written = load_examples(base, wanted.token, today, lambda line: None)
        out.print(f"{base.url} has the example patients ({written} resources, dated back from today).")
        listening = free_port(tried(wanted.ports["service"], SERVICE_PORT))
        port = listening.getsockname()[1]
        settings = {
            "CDS_ORIGINS": ",".join(wanted.origins),
            "CDS_ON_MISSING": "card",  # the Sandbox shows nothing of an error
            "CDS_FHIR_BASES": base.url,
        }
        programs["the service"] = running.enter_context(service(listening, folder, settings))
        wait_until_ready(programs["the service"], port, log_file(folder))
        show_links(out, wanted, Joined(base.url, f"http://{HOST}:{port}{DISCOVERY}", wanted.patient), today)
        out.print(f"Log: {log_file(folder)}. Ctrl-C ends {' and '.join(reversed(programs))}.")
        ended = first_to_end(programs)
        why = f": {last_line(log_file(folder))}" if ended == "the service" else ""
        raise DemoFailed(f"{ended} has ended by itself{why}")


def first_to_end(programs: Mapping[str, subprocess.Popen[bytes]]) -> str:
    """The name of the program that ends first; until then this waits."""
    while True:
        for name, program in programs.items():
            if program.poll() is not None:
                return name
        time.sleep(0.5)


def show_links(out: Console, wanted: Wanted, joined: Joined, today: date) -> None:
    """The ready links, one for each page; they are printed whole, so that they can be copied from any terminal."""
    record = read_patient(patients_folder() / f"{wanted.patient}.json", today)
    out.print(Panel(f"Only this machine is answered. No client is authenticated. Not for real patients.\n"
                    f"The patient: {tag_text(record, 'title')}", title="DEMO MODE", expand=False))  # fmt: skip
    for page in wanted.origins:
        out.print(f"\nOpen the Sandbox at {page}:")
        click.echo(joined.link(page))
    out.print("\nThen: Rx View (choose folic acid), Rx Sign, PAMA Imaging; deploy/ehr/sandbox.md says what you see.\n")


def page_origin(text: str) -> str:
    """An origin as a browser writes it."""
    base = base_of_option("--origin", text, f"the origin of a page, such as {PUBLIC}")
    if base.path:
        raise BadOption(f"--origin: an address with a path; give the origin of a page, such as {PUBLIC}")
    return base.origin


def example_patient(name: str) -> str:
    """The name, if there is such an example patient."""
    known = sorted(path.stem for path in patients_folder().glob("*.json"))
    if name not in known:
        raise BadOption(f"--patient: there is no example patient {name!r}; there are: {', '.join(known)}")
    return name


def tried(port: int | None, first: int) -> range:
    """The ports to be tried: the one that was asked for, or the next free one."""
    return range(port, port + 1) if port else range(first, first + TRIED_PORTS)


# The FHIR server of a checkout


def launcher() -> Path:
    """The script that starts HAPI: of the checkout that this program or the working folder is. DemoFailed without."""
    for folder in (Path(__file__).resolve().parents[2], Path.cwd()):
        script = folder / LAUNCHER
        if script.is_file() and (folder / "cards" / "content.toml").is_file():
            return script
    raise DemoFailed(
        f"there is no {LAUNCHER} here, which starts a FHIR server: run this in a checkout of b12-cds, or name a FHIR "
        "R4 server for tests with --fhir URL"
    )


@contextmanager
def hapi(wanted: Wanted) -> Iterator[subprocess.Popen[bytes]]:
    """A HAPI server that the pages may read, while it starts; it ends with us."""
    script = launcher()
    with free_port(tried(wanted.ports["hapi"], HAPI_PORT)) as taken:
        port = taken.getsockname()[1]
    command = [sys.executable, str(script), "--port", str(port), "--origins", ",".join(wanted.origins)]
    child = subprocess.Popen(  # noqa: S603 (our own script, no shell)
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        yield child
    finally:
        end(child)


def address_of(child: subprocess.Popen[bytes], out: Console) -> str:
    """The base that the server prints once it answers. What it says until then is shown: the first start is long."""
    said: queue.Queue[str] = queue.Queue()
    threading.Thread(target=listen_to, args=(child, said), daemon=True, name="HAPI's output").start()
    latest, line = time.monotonic() + START_SECONDS, ""
    while time.monotonic() < latest:
        with suppress(queue.Empty):
            line = said.get(timeout=0.2)
            if line.startswith(FHIR_LINE):
                return line.removeprefix(FHIR_LINE).split()[0]
            out.print(f"  {line}", style="dim", highlight=False)
            continue
        if child.poll() is not None:
            raise DemoFailed(f"HAPI did not start: {line or 'it said nothing'}")
    raise DemoFailed(f"HAPI did not start within {START_SECONDS // 60} minutes: {line}")


def listen_to(child: subprocess.Popen[bytes], said: queue.Queue[str]) -> None:
    """Read to the end, or a full pipe would halt the server."""
    for line in child.stdout or ():
        said.put(line.decode("utf-8", errors="replace").rstrip())


def refuse(line: str) -> NoReturn:
    click.echo(f"b12-cds: sandbox: {line}", err=True)
    sys.exit(2)
