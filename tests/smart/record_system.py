"""A record system whose authorization server is not ours (npm's oidc-provider), the service as its app, a browser.

`authorization_server/` holds the server and its lock file; what it needs is installed once by `npm ci`. Before the FHIR
server it checks each token, its scopes and its patient, as a record system does.
"""

from __future__ import annotations

import fcntl
import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import requests
from joserfc.jwk import ECKey
from playwright.sync_api import Page, expect

from cds_service.store.pseudonyms import new_line
from tests.endings import SOON
from tests.hooks.calling import PATH
from tests.hooks.processes import Running, free_port, program, running, until
from tests.hooks.test_clients_serve import is_up
from tests.hooks.tokens import ISS, claims, signed, write

FOLDER = Path(__file__).resolve().parent / "authorization_server"
RESOURCES = (
    "Patient Observation Condition MedicationStatement MedicationRequest MedicationAdministration MedicationDispense "
    "ServiceRequest Procedure AllergyIntolerance FamilyMemberHistory Medication"
).split()
SCOPES = [f"patient/{each}.{'r' if each == 'Patient' else 'rs'}" for each in RESOURCES]
HOOK_INSTANCE = "7f0d2a0e-3a1b-4f0c-9a55-5d6b8f1f6a10"


def installed() -> Path:
    """The folder of the server, with what it needs in it."""
    marker = FOLDER / "node_modules" / ".installed"
    wanted = sha256((FOLDER / "package-lock.json").read_bytes()).hexdigest()
    with (FOLDER / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not marker.exists() or marker.read_text() != wanted:
            command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
            subprocess.run(command, cwd=FOLDER, check=True, capture_output=True, timeout=300)
            marker.write_text(wanted)
    return FOLDER


@dataclass(frozen=True)
class Ehr:
    """The running record system."""

    issuer: str
    session: requests.Session

    @property
    def base(self) -> str:
        return f"{self.issuer}/fhir"

    def launch(self, patient: str, **more: Any) -> str:
        """What a record system makes when somebody follows a link in the chart of that patient."""
        context = {"patient": patient, "need_patient_banner": True, **more}
        return self.session.post(f"{self.issuer}/ehr/launches", json=context, timeout=SOON).json()["launch"]

    def goes_wrong(self, **faults: Any) -> None:
        """From now on: `token` changes what the token endpoint answers, `withheld` are scopes that are not granted."""
        self.session.post(f"{self.issuer}/ehr/faults", json=faults, timeout=SOON)

    def secrets(self) -> list[str]:
        """Every launch, code and token so far."""
        return self.session.get(f"{self.issuer}/ehr/secrets", timeout=SOON).json()


@contextmanager
def ehr(upstream: str, app: str, folder: Path, **changed: Any) -> Iterator[Ehr]:
    """A record system in front of that FHIR server, which knows the app at that address."""
    port = free_port()
    client = {"client_id": "b12-cds", "redirect_uris": [f"{app}/smart/callback"], "response_types": ["code"],
              "grant_types": ["authorization_code"], "token_endpoint_auth_method": "none"}  # fmt: skip
    settings = {"port": port, "upstream": upstream, "scopes": SCOPES, "chosen": "pt-1", **changed}
    settings["clients"] = [{**client, **changed.get("client", {})}]
    (folder / "ehr.json").write_text(json.dumps(settings))
    command = ["node", str(installed() / "server.mjs"), str(folder / "ehr.json")]
    with program(command) as process, requests.Session() as session:
        session.trust_env = False
        until(lambda: f"http://127.0.0.1:{port}" in process.told(), process)
        yield Ehr(f"http://127.0.0.1:{port}", session)


@dataclass
class App:
    """The service as a process, with one client that may launch the view."""

    address: str
    port: int
    process: Running
    metrics: str  # the address of its metrics
    session: requests.Session = field(default_factory=requests.Session)

    def hook(self, ehr: Ehr, patient: str = "pt-1", hook_instance: str = HOOK_INSTANCE, **more: Any) -> dict[str, Any]:
        """The answer to a chart that is opened."""
        now = time.time()
        token = signed(claims(iat=now, exp=now + 300, aud=self.address + PATH))
        body = {"hook": "patient-view", "hookInstance": hook_instance, "fhirServer": ehr.base,
                "context": {"userId": "Practitioner/1", "patientId": patient}, **more}  # fmt: skip
        headers = {"Authorization": f"Bearer {token}"}
        answer = self.session.post(self.address + PATH, json=body, headers=headers, timeout=SOON)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def launches(self, outcome: str) -> int:
        """How many launches it has counted as that."""
        text = self.session.get(self.metrics, timeout=SOON).text
        found = re.search(rf'^b12_cds_smart_launches_total{{outcome="{outcome}"}} ([0-9.]+)$', text, re.MULTILINE)
        assert found, text
        return int(float(found[1]))

    def launch_address(self, ehr: Ehr, launch: str = "") -> str:
        return f"{self.address}/smart/launch?{urlencode({'iss': ehr.base, **({'launch': launch} if launch else {})})}"


@contextmanager
def app(port: int, folder: Path, base: str, host: str = "127.0.0.1", **smart: Any) -> Iterator[App]:
    """The service on that port, which may be launched from that FHIR base."""
    address = f"http://{host}:{port}"
    (folder / "smart.keys").write_text(f"{new_line('one')}\n")
    (folder / "store.keys").write_text(f"{new_line('one')}\n")
    table = {"client_id": "b12-cds", **smart}
    client = {"iss": ISS, "public_base_url": address, "fhir": [{"base": base, "private": True}], "smart": table}
    path = write(folder, main=client)
    settings = {"CDS_CLIENTS": str(path), "CDS_SMART_KEYS": str(folder / "smart.keys"),
                "CDS_STORE_URL": f"sqlite:///{folder / 'store.sqlite'}", "CDS_STORE_KEYS": str(folder / "store.keys"),
                "CDS_TIME_ZONE": "Europe/London",
                "CDS_METRICS_PORT": str(measured := free_port())}  # fmt: skip
    with running("serve", "--port", str(port), **settings) as process:
        until(is_up(port), process)
        started = App(address, port, process, f"http://127.0.0.1:{measured}/metrics")
        with started.session as session:
            session.trust_env = False
            yield started


def own_key(folder: Path, name: str = "ours.jwk.json") -> ECKey:
    """A private key of ours in a file, for private_key_jwt."""
    made = ECKey.generate_key("P-384", {"kid": "ours", "use": "sig", "alg": "ES384"}, private=True)
    (folder / name).write_text(json.dumps(made.as_dict(private=True)))
    return made


def sign_in(page: Page, login: str = "gp-1") -> None:
    """The authorization server's own page asks who it is."""
    page.fill("input[name=login]", login)
    page.fill("input[name=password]", "any")
    page.click("button[type=submit]")
    expect(page.locator("text=Continue")).to_be_visible()


def consent(page: Page) -> None:
    """The next page asks what the app may do; afterwards the browser is back with the app."""
    page.click("button[type=submit]")
    page.wait_for_url("**/smart/callback**")
