"""Metrics for Prometheus on a port of their own, in a process of their own: no call waits for them, and no caller of
the service can read them.

The workers count into files (as prometheus_client does for several processes), in a folder that exists only while the
service runs; the process here adds them up whenever it is asked. So a worker that is killed takes no count with it.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # by this prometheus_client knows that there are several processes
PATH = "/metrics"
SECONDS_TO_END = 3
PATIENCE = 5  # seconds for one who asks
LAST_CALLS = 10  # seconds in which workers end whose parent was killed; they still count


@contextmanager
def measured(listening: socket.socket | None) -> Iterator[None]:
    """While the service runs: a folder for what is counted, and a process that serves it on that socket. None: neither.

    To be entered before prometheus_client is first imported.
    """
    if listening is None:
        yield
        return
    owner, folder = os.getpid(), tempfile.mkdtemp(prefix="b12-cds-metrics-")
    os.environ[FOLDER] = folder
    child = None
    try:
        with listening:
            command = [sys.executable, "-m", "cds_service.server.metrics_server", str(listening.fileno()), str(owner)]
            child = subprocess.Popen(  # noqa: S603 (our own program, no shell)
                command, stdin=subprocess.DEVNULL, pass_fds=[listening.fileno()]
            )
        yield
    finally:
        if os.getpid() == owner:  # a worker is a fork of this process and comes by here when it ends
            end(child)
            shutil.rmtree(folder, ignore_errors=True)


def end(child: subprocess.Popen[bytes] | None) -> None:
    """End the process that serves the metrics."""
    if child is None:
        return
    child.terminate()
    try:
        child.wait(SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def forget(pid: int) -> None:
    """A worker has ended: what it said of its present state is void; what it counted stays."""
    if os.environ.get(FOLDER):
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(pid)


class Threaded(ThreadingMixIn, WSGIServer):
    """A slow caller does not delay others."""

    daemon_threads = True


class Quiet(WSGIRequestHandler):
    """Writes no log, and does not wait for ever."""

    timeout = PATIENCE

    def log_message(self, *_: Any) -> None: ...


def tell(listening: socket.socket, folder: str, parent: int) -> None:
    """Answer GET /metrics on this socket for as long as the process lives that started this one."""
    from prometheus_client import CollectorRegistry, make_wsgi_app
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry()
    MultiProcessCollector(registry, folder)
    told = make_wsgi_app(registry)

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        if environ["PATH_INFO"] == PATH:
            return told(environ, start_response)
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"GET /metrics\n"]

    host, port = listening.getsockname()[:2]
    server = Threaded((host, port), Quiet, bind_and_activate=False)
    server.socket.close()
    server.socket = listening
    server.server_name, server.server_port = host, port
    server.setup_environ()
    server.set_app(app)
    threading.Thread(target=end_with, args=(parent, server), daemon=True).start()
    server.serve_forever()
    server.server_close()


def end_with(parent: int, server: WSGIServer) -> None:
    """End the serving when the process that started this one has ended, however that came about."""
    while os.getppid() == parent:
        time.sleep(1)
    server.shutdown()


def main() -> None:
    """The process: `python -m cds_service.server.metrics_server DESCRIPTOR PARENT`: a socket that listens already, and
    for whom."""
    descriptor, parent = map(int, sys.argv[1:3])
    folder = os.environ.pop(FOLDER)  # this process only adds up; it has no file of its own
    if Path(folder).is_dir():
        with suppress(KeyboardInterrupt):
            tell(socket.socket(fileno=descriptor), folder, parent)
            time.sleep(LAST_CALLS)  # we are here because the parent was killed, and it cannot do the rest any more
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
