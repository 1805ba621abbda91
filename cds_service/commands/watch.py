"""`b12-cds watch`: watch a client's results and write Tasks. `watch due`: the daily look for who is to be recalled."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import NoReturn, TypeVar

import click

from ..app import call_log, client_config, now
from ..auth.clients import Client, load_clients
from ..bounds import MEGABYTE
from ..content.content import load_content
from ..content.faults import ContentError
from ..content.files import cards_folder
from ..server.notifications import Hints, receiving
from ..settings import Settings, SettingsError, load_settings
from ..store.opening import CannotOpen, keys_of
from ..watch.fhir_server import FhirServer
from ..watch.measures import Look, WatchMetrics
from ..watch.state import State, StateUnusable
from ..watch.watcher import Watched, Watcher

Held = TypeVar("Held")

UNUSABLE, UNFINISHED = 2, 1  # exit codes
PORT = 8010
MINUTE = 60.0
CLIENT = click.option("--client", "name", metavar="NAME", help="A client of clients.toml that has a table watch.")


def refuse(line: str) -> NoReturn:
    """End with one line on the standard error stream."""
    click.echo(f"b12-cds: watch: {line}", err=True)
    sys.exit(UNUSABLE)


@click.group(invoke_without_command=True)
@CLIENT
@click.option("--once", is_flag=True, help="One look, without taking notifications, and an end.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where notifications are taken.")
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True)
@click.option(
    "--metrics-port", type=click.IntRange(1, 65535), help="GET /metrics there, on CDS_METRICS_HOST (default: off)."
)
@click.pass_context
def watch(
    context: click.Context, *, name: str | None, once: bool, host: str, port: int, metrics_port: int | None
) -> None:
    """Watch the results of a client's patients, and write a Task where there is something to do.

    Looks for new results again and again, and at once when POST /notify/NAME says that there is one. Exit code of one
    look: 0: all is decided. 1: something could not be read or written, and is tried again by the next look. 2: it could
    not begin.
    """
    context.obj = name
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(0))
    if context.invoked_subcommand is not None:
        return
    with watching(name, alone=True) as watcher:
        if once:
            finish(watcher, [watcher.poll, watcher.note_open], "one look")
        hints, metrics = Hints(), WatchMetrics()
        with (
            had(f"--metrics-port {metrics_port}", metrics.served(load_settings().metrics_host, metrics_port)),
            had(f"--port {port} on {host}", receiving(host, port, str(name), hints)) as taken,
        ):
            click.echo(f"Notifications: POST http://{host}:{taken}/notify/{name}", err=True)
            go_on(watcher, hints, metrics)


@watch.command()
@CLIENT
@click.pass_context
def due(context: click.Context, name: str | None) -> None:
    """Once a day: decide about everybody who may have to be recalled, and about every open Task.

    Overdue and lapsed injections; deficiency or a lasting cause on record without treatment. May run beside `watch`.
    """
    with watching(name or context.obj, alone=False) as watcher:
        finish(watcher, [watcher.note_due, watcher.note_open], "due")


@watch.command()
@CLIENT
@click.pass_context
def status(context: click.Context, name: str | None) -> None:
    """Print how far results were read, who is waiting, and what silent mode would have written."""
    with watching(name or context.obj, alone=False) as watcher:
        of = watcher.of
        read_to = of.state.read_to(of.client.name)
        click.echo(f"Mode: {'active' if of.watch.active else 'silent'}")
        click.echo(f"Results read up to: {'never' if read_to is None else read_to.isoformat(timespec='seconds')}")
        click.echo(f"Patients to be decided about: {of.state.waiting(of.client.name)}")
        for row, number in of.state.counts(of.client.name).items():
            click.echo(f"Tasks that silent mode would have written, {row}: {number}")


def finish(watcher: Watcher, notes: list[Callable[[], bool]], event: str) -> NoReturn:
    """Note whom to decide about, decide, report, and end."""
    noted = [note() for note in notes]
    undecided = watcher.work()
    watcher.report(event)
    sys.exit(0 if all(noted) and not undecided and not watcher.waiting else UNFINISHED)


@contextmanager
def had(what: str, opened: AbstractContextManager[Held]) -> Iterator[Held]:
    """What holds a port; the program ends with one line where it is taken."""
    with ExitStack() as stack:
        try:
            held = stack.enter_context(opened)
        except OSError as error:
            refuse(f"{what} cannot be had: {error.strerror}")
        yield held


def go_on(watcher: Watcher, hints: Hints, metrics: WatchMetrics) -> NoReturn:
    """Look again and again: at results at every interval, hint or retry, at open Tasks at their interval."""
    how, rechecked = watcher.of.watch, float("-inf")
    metrics.began(watcher.of.seconds())
    while True:
        whole = watcher.poll()
        if time.monotonic() - rechecked >= how.recheck_minutes * MINUTE and watcher.note_open():
            rechecked = time.monotonic()
        watcher.work()
        seen = Look(whole, watcher.of.seconds(), watcher.waiting, watcher.unanswered, dict(watcher.counts))
        metrics.look(seen)
        watcher.report("look")
        _, patients = hints.take(watcher.until_next_look())
        metrics.notified(*hints.counted())
        watcher.hint(patients)


@contextmanager
def watching(name: str | None, *, alone: bool) -> Iterator[Watcher]:
    """A watcher of the client; the program ends with one line where there can be none. `alone`: another one that goes
    on looking is refused."""
    server, state = None, None
    try:
        settings = load_settings()
        client = client_of(settings, name)
        assert client.watch is not None  # client_of has made sure
        config = client_config(settings, load_content(cards_folder(), client.site or settings.site_dir), client)
        server = FhirServer(client.watch, client.ca_file, settings.max_body_mb * MEGABYTE)
        state = State(settings.watch_state, keys_of(settings.store_keys, demo=False), alone=alone)
        yield Watcher(Watched(config, client.watch, server, state, now, call_log(now)))
    except (SettingsError, ContentError, CannotOpen) as error:
        refuse(str(error))
    except StateUnusable as error:
        refuse(f"CDS_WATCH_STATE: {load_settings().watch_state}: {error}")
    finally:
        if server is not None:
            server.close()
        if state is not None:
            state.close()


def client_of(settings: Settings, name: str | None) -> Client:
    """The client of that name, with a table watch."""
    if settings.clients is None:
        raise SettingsError("CDS_CLIENTS: names no clients.toml; a table watch in it says what is watched")
    watched = {each.name: each for each in load_clients(settings.clients).all if each.watch is not None}
    if name not in watched:
        allowed = ", ".join(sorted(watched)) or "none has a table watch yet"
        what = "names nobody" if name is None else f"no watched client {name!r}"
        raise SettingsError(f"--client: {what}; allowed: {allowed}")
    return watched[name]
