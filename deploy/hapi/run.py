"""A real HAPI FHIR R4 server on this machine, to try the service on and to test it against.

For a person: `python deploy/hapi/run.py [--port N]` builds it when needed, starts it, prints the
address and serves until Ctrl+C. For a test: `with hapi_server() as base: ...`. It listens on
127.0.0.1 only, keeps everything in memory and never outlives the process that started it.
Needs Java 17 or newer (a JDK) and, for the first start only, Maven and about 310 MB of downloads.
"""

import argparse
import contextlib
import http.client
import os
import re
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # for a test that loads this file by its path
from hapi_build import CLASSPATH, TARGET, HapiError, Program, Progress, ensure_built, java, wait

START_SECONDS = 15 * 60
QUICK = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")  # of Java: a third off the start, half off the memory


def check_port(port: int) -> None:
    """Now, not half a minute later, when HAPI would find out."""
    try:
        with socket.socket() as probe:
            # As the server does: what remains of an old connection is no obstacle.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    except (OSError, OverflowError) as fault:
        reason = getattr(fault, "strerror", "it must be 0 to 65535")
        raise HapiError(f"HAPI cannot have port {port} on 127.0.0.1: {reason}.") from fault


def answers(base: str) -> bool:
    """Whether /fhir/metadata answers. http.client, because urllib would ask a proxy for 127.0.0.1."""
    host, _, path = base.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host, timeout=30)
    try:
        connection.request("GET", f"/{path}/metadata")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def java_command(scratch: str, port: int, page_size: int, largest_page: int, origins: str) -> list[str]:
    settings = {
        "java.io.tmpdir": scratch,
        "hapi.port": port,
        "hapi.page-size": page_size,
        "hapi.largest-page": largest_page,
        "hapi.origins": origins,
        "hapi.stop-with-parent": "true",
    }
    jars = os.pathsep.join([str(TARGET / "classes"), CLASSPATH.read_text()])
    given = [f"-D{name}={value}" for name, value in settings.items()]
    return [java(), "-Xmx2g", *QUICK, *given, "-cp", jars, "hapi.HapiServer"]


@contextlib.contextmanager
def started(
    port: int, progress: Progress, page_size: int, largest_page: int, origins: str = ""
) -> Iterator[tuple[str, Program]]:
    """The base address and the program, once it answers; stopped at the end whatever happens. `origins`: of pages in a
    browser that may call it, with commas between them."""
    check_port(port)
    java()  # before Maven, which says less clearly that there is none
    ensure_built(progress)
    bases: list[str] = []

    def hear(line: str) -> None:
        bases.extend(re.findall(r"^FHIR base: (\S+)", line))

    def ready() -> bool:
        return bool(bases) and answers(bases[0])

    # In target/, because a server that ends at once leaves its temporary folders behind.
    with tempfile.TemporaryDirectory(prefix="run-", dir=TARGET, ignore_cleanup_errors=True) as scratch:
        progress("starting the HAPI server, which takes about half a minute")
        start = time.monotonic()
        command = java_command(scratch, port, page_size, largest_page, origins)
        with contextlib.closing(Program(command, hear)) as program:
            if not wait(program, ready, START_SECONDS, lambda: "still starting", progress):
                fault = "ended while starting" if program.ended() else f"did not answer within {START_SECONDS} s"
                raise HapiError(f"The HAPI server {fault}:\n{program.last_words()}")
            progress(f"HAPI answers after {time.monotonic() - start:.0f} s")
            yield bases[0], program


@contextlib.contextmanager
def hapi_server(
    port: int = 0, progress: Progress = print, page_size: int = 10, largest_page: int = 50
) -> Iterator[str]:
    """The base address of a running server with no data; port 0 takes a free one. Raises HapiError."""
    with started(port, progress, page_size, largest_page) as (base, _):
        yield base


def stop_on_signals() -> None:
    def stop(*_: object) -> None:
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, signal.SIG_IGN)  # a second Ctrl+C must not interrupt the stopping
        raise KeyboardInterrupt

    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, stop)


def main() -> int:
    parser = argparse.ArgumentParser(description="A real HAPI FHIR R4 server on 127.0.0.1, empty, in memory.")
    parser.add_argument("--port", type=int, default=8080, help="default 8080; 0 takes a free one")
    parser.add_argument("--page-size", type=int, default=10, help="entries in a page when none are asked for (10)")
    parser.add_argument("--largest-page", type=int, default=50, help="most entries in a page (50)")
    parser.add_argument("--origins", default="", help="origins of pages that may call it, with commas (none)")
    asked = parser.parse_args()
    say = partial(print, flush=True)
    stop_on_signals()
    try:
        with started(asked.port, say, asked.page_size, asked.largest_page, asked.origins) as (base, program):
            say(f"FHIR base: {base}  (Ctrl+C stops it)")
            program.process.wait()
            raise HapiError(f"The HAPI server ended by itself:\n{program.last_words()}")
    except HapiError as fault:
        print(fault, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        say("stopped")
        return 0


if __name__ == "__main__":
    sys.exit(main())
