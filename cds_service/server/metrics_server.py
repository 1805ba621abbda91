"""Metrics for Prometheus on a port of their own, in a process of their own: no call waits for them, and no caller of
the service can read them.

The workers count into files (prometheus_client's multiprocess mode), in a folder that exists only while the service
runs; prometheus_client's own server, in the process here, adds them up whenever it is asked. So a worker that is killed
takes no count with it.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # by this prometheus_client knows that there are several processes
SECONDS_TO_END = 3
PATIENCE = 5.0  # seconds for one who asks
LAST_CALLS = 10  # seconds in which workers end whose parent was killed; they still count


@contextmanager
def measured(listening: socket.socket | None) -> Iterator[None]:
    """While the service runs: a folder for what is counted, and a process that tells it at the address of that socket,
    which was opened to find out that the port is free. None: neither.

    To be entered before prometheus_client is first imported.
    """
    if listening is None:
        yield
        return
    host, port = listening.getsockname()[:2]
    listening.close()
    owner, folder = os.getpid(), tempfile.mkdtemp(prefix="b12-cds-metrics-")
    os.environ[FOLDER] = folder
    child = None
    try:
        command = [sys.executable, "-m", "cds_service.server.metrics_server", host, str(port), str(owner)]
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 (our own program, no shell)
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

        mark_process_dead(pid)  # type: ignore[no-untyped-call]  # of prometheus_client


def serve(host: str, port: int, folder: str, parent: int) -> None:
    """Answer who asks for metrics for as long as the process lives that started this one."""
    from prometheus_client import CollectorRegistry, start_http_server
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry()
    MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]  # of prometheus_client
    server, _ = start_http_server(port, host, registry)
    server.RequestHandlerClass.timeout = PATIENCE  # type: ignore[attr-defined]  # every socketserver handler has it
    while os.getppid() == parent:
        time.sleep(1)
    server.shutdown()


def main() -> None:
    """The process: `python -m cds_service.server.metrics_server HOST PORT PARENT`."""
    host, port, parent = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    folder = os.environ.pop(FOLDER)  # this process only adds up; it has no file of its own
    if Path(folder).is_dir():
        with suppress(KeyboardInterrupt):
            serve(host, port, folder, parent)
            time.sleep(LAST_CALLS)  # we are here because the parent was killed, and it cannot do the rest any more
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
