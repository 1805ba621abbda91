"""`b12-cds watch` as an operator has it: with a clients.toml, keys and a state of its own."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cds_service.store.pseudonyms import new_line
from tests.hooks.processes import SOON, Family, read_until, run, running, with_pid
from tests.hooks.tokens import jwks


@dataclass(frozen=True)
class Installed:
    """The folder of one installation that watches the client `ward` of this FHIR server."""

    folder: Path
    base: str
    more: str = ""

    def __post_init__(self) -> None:
        (self.folder / "keys.json").write_text(json.dumps(jwks()))
        (self.folder / "store.keys").write_text(new_line("first"))
        (self.folder / "clients.toml").write_text(
            f"""
            [client.ward]
            iss = "https://ehr.example.org/fhir"
            keys = {{ file = "keys.json" }}
            public_base_url = "https://cds.example.org"
            fhir = [{{ base = "{self.base}", private = true, anonymous = true }}]
            [client.ward.watch]
            fhir = "{self.base}"
            mode = "active"
            performer = "B12 clinic"
            every = 1
            {self.more}
            """
        )

    @property
    def settings(self) -> dict[str, str]:
        return {
            "CDS_CLIENTS": str(self.folder / "clients.toml"),
            "CDS_STORE_KEYS": str(self.folder / "store.keys"),
            "CDS_WATCH_STATE": str(self.folder / "watch.sqlite"),
        }

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """The command, to its end."""
        return run("watch", *words, **self.settings)

    @contextmanager
    def watching(self, *words: str) -> Iterator[Family]:
        """The command, in a process that goes on."""
        with running("watch", *words, **self.settings) as process:
            yield process
            with_pid(process.pid, signal.SIGTERM)
            process.wait(SOON)


def address(process: Family) -> str:
    """Where a server says that something has changed: in the first line that a watcher prints."""
    return read_until(process, "\n").partition("\n")[0].split()[-1]
