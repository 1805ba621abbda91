"""The installation as a whole, as compose.yaml describes it: signed calls through TLS, two workers, one PostgreSQL."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.deploy.image import Image
from tests.deploy.together import ISS, SCRIPT, Installation, health, installed, python, script, written
from tests.endings import LATE, SOON
from tests.hooks.calling import PATH, body
from tests.hooks.living import prefetch
from tests.hooks.processes import descendants
from tests.store.postgres import cluster

pytestmark = pytest.mark.needs("packages", "postgresql", "nginx")
SERVICE = PATH.rpartition("/")[2]
INSTANCE = "0b1b2c3d-0000-4000-8000-00000000b12a"


@pytest.fixture(scope="module")
def running(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with cluster() as postgres, installed(image, postgres, tmp_path_factory.mktemp("together")) as made:
        yield made


def test_a_signed_client_is_answered_and_its_feedback_is_kept(running: Installation):
    assert json.loads(running.signed("discovery").stdout)["services"]
    request = running.folder / "request.json"
    request.write_text(json.dumps(body(prefetch=prefetch(), hookInstance=INSTANCE)))
    answered = running.signed("call", SERVICE, request)
    assert answered.returncode == 0, answered.stderr + running.log()
    card = json.loads(answered.stdout)["cards"][0]
    given = running.folder / "feedback.json"
    told = {"card": card["uuid"], "outcome": "overridden", "outcomeTimestamp": "2026-11-21T12:00:00Z"}
    given.write_text(json.dumps({"feedback": [told]}))
    fed = running.signed("feedback", SERVICE, given)
    assert fed.returncode == 0, fed.stderr + fed.stdout + running.log()
    kept = eventually_shown(running)
    assert card["uuid"] in kept
    assert "overridden" in kept
    assert "Bearer" not in running.log()


def eventually_shown(running: Installation) -> str:
    """What `b12-cds store show` tells; decisions are written a moment after they were answered."""
    secrets = {"CDS_SECRETS_DIR": str(running.folder), "CDS_STORE_KEYS": str(running.folder / "store_keys")}
    latest = time.monotonic() + 30
    while True:
        shown = running.image.run(running.image.entry("store", "show", INSTANCE), **secrets)
        if shown.returncode == 0 or time.monotonic() > latest:
            return shown.stdout + shown.stderr
        time.sleep(0.2)


def test_a_token_is_accepted_once_by_all_workers_together(running: Installation):
    signing = script()
    key = signing.ECKey.import_key(json.loads((running.folder / "client.key.json").read_text()))
    client = signing.Client(key, ISS, running.base, running.base, None, True)
    assert len(descendants(running.service.pid)) >= 3, "two workers, and the process that tells the metrics"
    headers = {"Authorization": f"Bearer {client.token(PATH, int(time.time()))}"}
    statuses = [
        requests.post(
            running.base + PATH,
            json=body(prefetch=prefetch()),
            headers={**headers, "Connection": "close"},
            verify=str(running.folder / "tls_certificate"),
            timeout=SOON,
        ).status_code
        for _ in range(12)
    ]
    assert sorted(statuses) == [200] + 11 * [401]


def test_a_stranger_is_refused_and_the_script_says_so(running: Installation):
    assert python(running.image, SCRIPT, "new-key", running.folder / "stranger.json").returncode == 0
    request = running.folder / "request.json"
    request.write_text(json.dumps(body(prefetch=prefetch())))
    refused = running.signed("call", SERVICE, request, key="stranger.json")
    assert refused.returncode == 1
    assert refused.stderr.startswith("401 ")


def test_readiness_and_metrics_are_told_inside_and_not_through_the_proxy(running: Installation):
    inside = requests.get(f"http://127.0.0.1:{running.inside}/readyz", timeout=SOON).json()
    assert (inside["status"], inside["store"]["ok"]) == ("ok", True), inside
    assert "cds_" in requests.get(f"http://127.0.0.1:{running.metrics}/metrics", timeout=SOON).text
    for path in ("/readyz", "/metrics"):
        trusted = str(running.folder / "tls_certificate")
        assert requests.get(running.base + path, verify=trusted, timeout=SOON).status_code == 404


def test_nothing_is_written_but_in_the_folder_that_is_memory_and_the_end_is_quick(running: Installation):
    """Last: it stops the service. The image's root can be read-only."""
    root = running.image.root / "opt"
    before = written(root)
    request = running.folder / "request.json"
    request.write_text(json.dumps(body(prefetch=prefetch())))
    assert running.signed("call", SERVICE, request).returncode == 0
    assert written(root) == before
    assert health(running) == 0
    running.service.send_signal(signal.SIGTERM)
    began = time.monotonic()
    assert running.service.wait(SOON) == 0, running.log()
    assert time.monotonic() - began < 10 + LATE
    assert health(running) != 0
    assert not list(Path(running.image.real(running.image.folder)).iterdir()), "what it wrote there is gone with it"
