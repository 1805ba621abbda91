"""A service whose answers wait until a file is there, in gunicorn as it really runs: `python -m
tests.hooks.slow_service PORT FILE [setting=number ...]`. What the pipeline decides is tested elsewhere; here it is what
happens while it takes its time.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from cds_service.server.server import Moments, Server, listen
from tests.hooks.calling import Answers, Caller

AT_MOST = 60.0  # seconds, so that nothing is left whatever happens


class WhenThere(Answers):
    """Answers when the file is there. A request of the user "fast" need not wait."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file

    def __call__(self, hook_request: Any, *given: Any) -> Any:
        inside(self.file).touch()
        latest = time.monotonic() + AT_MOST
        while hook_request.tokens["userId"] != "fast" and not self.file.exists() and time.monotonic() < latest:
            time.sleep(0.02)
        return super().__call__(hook_request, *given)


def inside(file: Path) -> Path:
    """The file that is there as soon as a call has reached the pipeline."""
    return file.with_name("inside")


def main(port: str, file: str, *changed: str) -> None:
    settings = {name: int(value) for name, value in (each.split("=") for each in changed)}
    app = Caller(answers=WhenThere(Path(file))).app
    Server(app, listen("127.0.0.1", int(port)), Moments(ready=lambda: print("ready", flush=True)), **settings).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
