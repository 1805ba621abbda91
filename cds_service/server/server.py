"""`b12-cds serve`: gunicorn, started from Python on one listening socket, with threads and an end within ten seconds.

The order of the start matters: whether several processes count together is decided when the metrics library is
imported, so the metrics' process comes first, then the application, then gunicorn.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication

from ..settings import Settings, SettingsError
from ..store.opening import CannotOpen, bring_up_to_date
from .metrics_server import forget, measured
from .worker import Worker

HOST, PORT = "127.0.0.1", 8000
GRACE = 7  # seconds for calls under way when the service is stopped; a stop takes less than 10
SETTINGS = {
    "worker_class": Worker,
    "workers": 1,
    "worker_connections": 4_000,  # less where the process may not open so many files
    "threads": 40,  # more than calls are answered at once (web/calls.py), and those more than wait for FHIR servers
    "timeout": 30,
    "graceful_timeout": GRACE,
    "keepalive": 5,
    "limit_request_line": 4094,
    "limit_request_fields": 60,
    "limit_request_field_size": 16_380,  # a token with a long list of scopes
    "preload_app": True,  # loaded once, shared by workers
    "forwarded_allow_ips": "",  # nobody is believed about whom he calls for
    "proxy_allow_ips": "",
    "forwarder_headers": "",
    "accesslog": None,  # our own log speaks of calls; an access log would keep addresses
    "errorlog": "-",
    "loglevel": "warning",
    "control_socket_disable": True,  # no file outside of the service's own folders
}


class PortTaken(Exception):
    """Somebody else listens there, or the address is not this machine's. Its text is one line for the operator."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket: taken before anything is loaded, so that a taken port is known at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    taken = socket.socket(family, socket.SOCK_STREAM)
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((host, port))
        taken.listen(2048)
    except OSError as error:
        taken.close()
        raise PortTaken(f"cannot listen on {host} port {port}: {error.strerror or 'no such address'}") from None
    return taken


def nothing(*_: Any) -> None:
    """Nothing is to be done."""


def wait_for(workers: Iterable[int]) -> None:
    """gunicorn kills a worker that does not end in time, but does not wait for its end: nobody is to be left."""
    for pid in workers:
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)


@dataclass(frozen=True, slots=True)
class Moments:
    """What is to be done when: `ready` once, when calls can come; `begin` and `end` in each worker; `gone` when the
    worker of that process id has ended, however that came about."""

    ready: Callable[[], None]
    begin: Callable[[], None] = nothing
    end: Callable[[], None] = nothing
    gone: Callable[[int], None] = nothing


class Server(BaseApplication):
    """gunicorn with our settings on a socket that is already listening."""

    def __init__(self, app: Flask, listening: socket.socket, moments: Moments, **changed: Any):
        self.app = app
        descriptor = listening.detach()  # gunicorn closes it
        hooks = {
            "when_ready": lambda _: moments.ready(),
            "post_worker_init": lambda _: moments.begin(),
            "worker_exit": lambda _, worker: moments.end(),
            "child_exit": lambda _, worker: moments.gone(worker.pid),
            "on_exit": lambda arbiter: wait_for(list(arbiter.WORKERS)),
        }
        self.changed = {"bind": f"fd://{descriptor}", **hooks, **changed}
        super().__init__()

    def load_config(self) -> None:
        for name, value in {**SETTINGS, **self.changed}.items():
            self.cfg.set(name, value)

    def load(self) -> Any:  # gunicorn names a narrower WSGI application
        return self.app


def answer_calls(
    settings: Settings, calls: socket.socket, asked: socket.socket | None, ready: Callable[[], None]
) -> None:
    """Answer calls on one socket and, if there is another, who asks for metrics on that; until a signal.

    SettingsError or ContentError say why it cannot start.
    """
    upgrade_store(settings)
    with measured(asked):
        from ..app import create_app
        from ..web.health import BEGIN, END

        app = create_app(settings)
        moments = Moments(ready=ready, begin=app.extensions[BEGIN], end=app.extensions[END], gone=forget)
        Server(app, calls, moments, workers=settings.workers).run()


def upgrade_store(settings: Settings) -> None:
    """The tables of a SQLite file as this version needs them; a demo without a URL has none yet."""
    try:
        if settings.store_url or not settings.demo:
            bring_up_to_date(settings.store_url)
    except CannotOpen as error:
        raise SettingsError(str(error)) from None
