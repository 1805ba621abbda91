"""`b12-cds watch` as an operator starts it: a process with a clients.toml, keys and a state of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from cds_service.store.pseudonyms import new_line
from tests.hooks.tokens import jwks

PROGRAM = [sys.executable, "-c", "from cds_service.cli import main; main()"]


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
    def environment(self) -> dict[str, str]:
        ours = {
            "CDS_CLIENTS": str(self.folder / "clients.toml"),
            "CDS_STORE_KEYS": str(self.folder / "store.keys"),
            "CDS_WATCH_STATE": str(self.folder / "watch.sqlite"),
        }
        return {name: value for name, value in os.environ.items() if not name.startswith("CDS_")} | ours

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """The command, to its end."""
        command = [*PROGRAM, "watch", *words]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=300)

    def begun(self, *words: str) -> subprocess.Popen[str]:
        """The command, which goes on."""
        command = [*PROGRAM, "watch", *words]
        return subprocess.Popen(command, env=self.environment, stderr=subprocess.PIPE, text=True)
