"""`b12-cds sandbox --fhir URL` on a real server: its link leads to what the Sandbox then does, from another origin.

The calls are those of the Sandbox's source (service-exchange.js), as it makes them in a browser: a preflight, the
patient, each search as a POST to _search, and the call with what came.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from cds_service.examples.fixture_patients import resources
from tests import golden
from tests.contract.hapi import ORIGINS, SECONDS, Hapi
from tests.hooks.processes import ends_well, running, until

pytestmark = pytest.mark.needs("java", "maven")
PAGE = ORIGINS.partition(",")[0]


@pytest.fixture(scope="module")
def link(server: Hapi) -> Iterator[dict[str, str]]:
    """The parameters of the link that the command prints for the public page; at the end the command ends well, and the
    server holds again what the other tests expect."""
    try:
        with running("sandbox", "--fhir", server.base) as process:
            until(lambda: "Ctrl-C ends" in process.told(), process)
            (address,) = re.findall(rf"^{re.escape(PAGE)}/\?\S+$", process.told(), re.MULTILINE)
            yield {name: value for name, (value,) in parse_qs(urlsplit(address).query).items()}
            ends_well(process, signal.SIGINT)
    finally:
        for patient in golden.patients():
            server.load(list(resources(golden.record(patient))))


class Page:
    """A page of that origin in a browser: it reads nothing that is not shared with it."""

    def __init__(self, origin: str) -> None:
        self.origin = origin

    def ask(self, method: str, url: str, **given: Any) -> requests.Response:
        sent = {"Origin": self.origin, **given.pop("headers", {})}
        answer = requests.request(method, url, headers=sent, timeout=SECONDS, **given)
        assert answer.headers["Access-Control-Allow-Origin"] == self.origin, (method, url, answer.status_code)
        return answer

    def preflight(self, url: str, method: str, *names: str) -> None:
        asks = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": ",".join(names)}
        answer = self.ask("OPTIONS", url, headers=asks | {"Access-Control-Request-Private-Network": "true"})
        assert answer.status_code == 200
        allowed = answer.headers["Access-Control-Allow-Headers"].lower()
        assert all(name in allowed for name in names), allowed
        assert answer.headers["Access-Control-Allow-Private-Network"] == "true"

    def prefetch(self, fhir: str, templates: dict[str, str], patient: str) -> dict[str, Any]:
        """What the page puts into the call."""
        found = {}
        for key, template in templates.items():
            path, _, query = template.replace("{{context.patientId}}", patient).partition("?")
            if query:
                form = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json+fhir"}
                answer = self.ask("POST", f"{fhir}/{path}/_search", data=query, headers=form)
            else:
                answer = self.ask("GET", f"{fhir}/{path}", headers={"Accept": "application/json+fhir"})
            assert answer.status_code == 200, (key, answer.text[:300])
            found[key] = answer.json()
        return found


def call(link: dict[str, str], hook: str, prefetch: dict[str, Any], **context: Any) -> dict[str, Any]:
    """The body of a call as the Sandbox writes it."""
    about = {"patientId": link["patientId"], "userId": "Practitioner/COREPRACTITIONER1", **context}
    instance = "6f1d2c1e-4f0b-4f6e-9d0c-6a8c1a1b0b12"
    return {
        "hookInstance": instance, "hook": hook, "fhirServer": link["fhirServiceUrl"], "context": about,
        "prefetch": prefetch,
    }  # fmt: skip


@pytest.mark.parametrize("origin", ORIGINS.split(","))
def test_from_the_link_a_page_gets_its_card(link: dict[str, str], origin: str):
    page, fhir = Page(origin), link["fhirServiceUrl"]
    assert page.ask("GET", f"{fhir}/metadata").json()["resourceType"] == "CapabilityStatement"
    assert page.ask("GET", f"{fhir}/Patient/{link['patientId']}").json()["id"] == link["patientId"]
    listed = page.ask("GET", link["serviceDiscoveryURL"], headers={"Authorization": "Bearer x.y.z"}).json()["services"]
    service = next(each for each in listed if each["hook"] == link["hook"])
    url = f"{link['serviceDiscoveryURL']}/{service['id']}"
    page.preflight(f"{fhir}/Observation/_search", "POST", "content-type")
    page.preflight(url, "POST", "authorization", "content-type")
    prefetch = page.prefetch(fhir, service["prefetch"], link["patientId"])
    answer = page.ask("POST", url, json=call(link, "patient-view", prefetch), headers={"Authorization": "Bearer x.y.z"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["cards"][0]["summary"].startswith("B12 118 pmol/L")


def test_what_cannot_be_judged_is_a_card_and_no_412(link: dict[str, str]):
    """The Sandbox shows nothing of an error."""
    url = f"{link['serviceDiscoveryURL']}/b12-patient-view"
    answer = Page(PAGE).ask("POST", url, json=call(link, "patient-view", {}, patientId="nobody-at-all"))
    assert answer.status_code == 200, answer.text
    assert [card["indicator"] for card in answer.json()["cards"]] == ["info"]


def test_a_page_that_was_not_named_reads_neither_server(link: dict[str, str]):
    stranger = {"Origin": "https://elsewhere.example.org"}
    for url in (f"{link['fhirServiceUrl']}/Patient", link["serviceDiscoveryURL"]):
        answer = requests.get(url, headers=stranger, timeout=SECONDS)
        assert answer.status_code == 403
        assert "Access-Control-Allow-Origin" not in answer.headers
