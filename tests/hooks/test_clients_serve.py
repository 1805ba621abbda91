"""The service with clients as real processes: it starts by a clients.toml, and by nothing less."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from tests.hooks.calling import PATH, body
from tests.hooks.living import prefetch
from tests.hooks.processes import call, descendants, ends_well, free_port, one_line, run, running, until
from tests.hooks.tokens import PUBLIC, claims, signed, write

CALL = json.dumps(body(prefetch=prefetch())).encode()


def token(**changed: object) -> dict[str, str]:
    """The header of a call that is made now."""
    now = time.time()
    return {"Authorization": "Bearer " + signed(claims(**{"iat": now, "exp": now + 300, **changed}))}


def is_up(port: int):
    def answered() -> bool:
        try:
            return call(port, "OPTIONS", "/cds-services")[0] == 200
        except OSError:
            return False

    return answered


def test_with_clients_it_serves_without_demo_mode_whoever_is_known_and_nobody_else(tmp_path: Path):
    port, path = free_port(), write(tmp_path)
    with running("serve", "--port", str(port), CDS_CLIENTS=str(path), CDS_STORE_URL="none") as process:
        until(is_up(port), process)
        good = token()
        status, headers, told = call(port, "POST", PATH, CALL, **good)
        assert status == 200, told
        assert json.loads(told)["cards"]
        for headers_sent in ({}, good, token(aud=PUBLIC), {"Authorization": "Bearer x"}):
            status, headers, told = call(port, "POST", PATH, CALL, **headers_sent)
            assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
            assert json.loads(told)["issue"][0]["details"]["text"] == "the call is not authenticated"
        assert call(port, "GET", "/cds-services", Host="cds.example.org")[0] == 200
        ends_well(process, signal.SIGTERM)
        log = process.told()
    assert "DEMO" not in log
    assert f"Serving the clients of {path} on 127.0.0.1 port {port}." in log
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert [line["why"] for line in lines if line["event"] == "not admitted"] == [
        "no token", "jti: seen before", "aud", "no token"
    ]  # fmt: skip
    assert [line["remark"] for line in lines if line["event"] == "start"]
    assert not [line for line in lines if good["Authorization"][-40:] in json.dumps(line)]


def test_several_workers_serve_if_the_operator_says_that_each_remembers_alone(tmp_path: Path):
    port, path = free_port(), write(tmp_path, 'jti_memory = "per-process"')
    with running("serve", "--port", str(port), CDS_CLIENTS=str(path), CDS_WORKERS="2", CDS_STORE_URL="none") as process:
        until(is_up(port), process)
        until(lambda: len(descendants(process.pid)) == 2, process)
        good = token()
        statuses = [call(port, "POST", PATH, CALL, **good)[0] for _ in range(12)]
        assert 1 <= statuses.count(200) <= 2
        assert set(statuses) == {200, 401}
        ends_well(process, signal.SIGTERM)


@pytest.mark.parametrize(
    ("top", "client", "environment", "says"),
    [
        ("", {"mode": "loud"}, {}, "clients.toml client \"main\": 'mode' is 'loud'. Allowed: active, silent"),
        ("", {"iss": "https://sandbox.cds-hooks.org"}, {}, "the Sandbox's private key is public"),
        ("", {"keys": {"file": "none"}}, {}, 'client "main" keys file: there is no \'none\''),
        ("", {"pathway": "none"}, {}, "client \"main\" pathway: no pathway 'none'; allowed: "),
        ("", {}, {"CDS_WORKERS": "2"}, 'without a store (CDS_STORE_URL=none) clients with jti'),
        ("", {}, {"CDS_STORE_URL": ""}, "CDS_STORE_KEYS: the store needs a file with a key"),
        ("", {}, {"CDS_WORKERS": "0"}, "CDS_WORKERS: Input should be greater than or equal to 1"),
        ("x", {}, {}, "CDS_CLIENTS: clients.toml: is not TOML"),
    ],
    ids=["mode", "sandbox", "keys", "pathway", "workers", "no store keys", "no workers", "toml"],
)  # fmt: skip
def test_without_a_valid_file_of_clients_it_does_not_start(tmp_path, top, client, environment, says):
    path = write(tmp_path, top, main=client)
    one_line(
        run("serve", "--port", str(free_port()), CDS_CLIENTS=str(path), **{"CDS_STORE_URL": "none", **environment}),
        says,
    )


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path):
    serve = ("serve", "--port", str(free_port()))
    one_line(run(*serve, CDS_CLIENTS=str(tmp_path / "clients.toml")), "there is no such file that can be read")
    one_line(run(*serve), "without demo mode the service does not start unless CDS_CLIENTS names a clients.toml")
