"""A FHIR server that hangs holds up the calls that need it, and nobody else's. A real process, real connections."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from cds_service.fetching import Fetch, FetchFailed
from cds_service.http.concurrency import AT_MOST, AT_ONE, EACH, FULL, IN_ALL, ConcurrencyLimits
from cds_service.server.server import SETTINGS
from cds_service.web.calls import AT_ONCE
from tests.fhir import loopback
from tests.hooks.calling import PATH, body
from tests.hooks.living import fhir_server, prefetch
from tests.hooks.processes import call, free_port, running, until
from tests.hooks.test_clients_serve import is_up, token
from tests.hooks.tokens import write

PATIENCE = 20.0  # seconds that the slow client allows, the most that there is
MANY = 48  # calls with servers that hang, several times what may wait for one
BESIDE = 4  # of them at once beyond those that wait: all together fewer than are answered at once (AT_ONCE)
OTHER = "https://other.example.org"


def clients(folder: Path, slow: list[loopback.Server], well: loopback.Server) -> Path:
    """One client whose FHIR servers hang, and another one."""
    seconds = {"patient-view": PATIENCE}
    return write(
        folder,
        main={
            "fhir": [{"base": each.base, "private": True} for each in slow],
            "seconds": seconds,
            "jti": "until-exp",
            "rate": 60_000,
        },
        other={"iss": OTHER, "fhir": [{"base": well.base, "private": True}], "seconds": seconds, "jti": "until-exp"},
    )


def asking(port: int, sent: dict, **claims: str) -> tuple[int, bytes]:
    """The status of a call, and the body."""
    status, _, told = call(port, "POST", PATH, json.dumps(sent).encode(), **token(**claims))
    return status, told


def granted(server: loopback.Server) -> dict:
    access = {"access_token": "t", "token_type": "Bearer", "expires_in": 300, "scope": "patient/*.read", "subject": "b"}
    return body(prefetch=..., fhirServer=server.base, fhirAuthorization=access)


@pytest.mark.parametrize("hang", [1, 2])
def test_a_base_that_hangs_slows_neither_calls_that_need_none_nor_those_of_another_base(tmp_path: Path, hang: int):
    hanging = dict.fromkeys(fhir_server(), loopback.never)
    port = free_port()
    with ExitStack() as servers, loopback.serving(fhir_server()) as well:
        slow = [servers.enter_context(loopback.serving(hanging)) for _ in range(hang)]
        path = clients(tmp_path, slow, well)
        with (
            running("serve", "--port", str(port), CDS_CLIENTS=str(path), CDS_STORE_URL="none") as process,
            ThreadPoolExecutor(hang * AT_ONE + BESIDE) as crowd,
        ):
            until(is_up(port), process)
            stuck = [crowd.submit(asking, port, granted(slow[number % hang])) for number in range(MANY)]
            until(lambda: sum(each.done() for each in stuck) >= MANY - hang * AT_ONE, process)
            needs_none = [asking(port, body(prefetch=prefetch()), iss=OTHER) for _ in range(5)]
            of_another = [asking(port, granted(well), iss=OTHER) for _ in range(3)]
            waiting = [each for each in stuck if not each.done()]
            for each in slow:
                each.over.set()  # it hangs up
            ended = [each.result() for each in stuck]
    assert {status for status, _ in needs_none + of_another} == {200}
    assert waiting, "all others were answered while they waited"
    assert {412} <= {status for status, _ in ended} <= {412, 503}  # 503: the machine is too busy to begin in time


def read(fetch: Fetch) -> str:
    """What was read, or why nothing was."""
    try:
        return fetch("Patient/1", 0.0).decode()
    except FetchFailed as failed:
        return failed.reason


def well(_target: str, _deadline: float) -> bytes:
    return b"read"


def test_beyond_its_number_a_call_with_one_server_reads_nothing_and_those_with_another_do():
    fhir_limits = ConcurrencyLimits(at_one=2, in_all=3, each=0)
    with ExitStack() as calls:
        of_one = [calls.enter_context(fhir_limits.admit("https://one.example/fhir", well)) for _ in range(3)]
        of_two = [calls.enter_context(fhir_limits.admit("https://two.example:443/r4", well)) for _ in range(2)]
        assert [read(fetch) for fetch in of_one] == ["read", "read", FULL]
        assert [read(fetch) for fetch in of_two] == ["read", FULL]
        assert read(of_one[0]) == "read", "a call that is inside goes on"
    with fhir_limits.admit("https://one.example/fhir", well) as later:
        assert read(later) == "read", "whoever has gone leaves his place"


def test_two_servers_that_hang_leave_a_few_places_for_every_other():
    fhir_limits = ConcurrencyLimits()
    with ExitStack() as calls:

        def reads(host: str, many: int) -> list[str]:
            base = f"https://{host}.example/fhir"
            return [read(calls.enter_context(fhir_limits.admit(base, well))) for _ in range(many)]

        assert reads("one", AT_ONE) + reads("two", AT_ONE) == ["read"] * IN_ALL
        assert reads("healthy", EACH + 1) == ["read"] * EACH + [FULL]
        others = [each for number in range(AT_MOST) for each in reads(f"other{number}", 1)]
        assert others.count("read") == AT_MOST - IN_ALL - EACH, "and places for calls that need no server"


def test_a_call_that_fetches_nothing_takes_no_place():
    fhir_limits = ConcurrencyLimits(at_one=1, in_all=1)
    with fhir_limits.admit("https://one.example/fhir", well), fhir_limits.admit("", None) as none:
        assert none is None
        with fhir_limits.admit("https://one.example/fhir", well) as another:
            assert read(another) == "read"


def test_a_call_that_ends_with_an_error_leaves_its_place_and_fetches_nothing_more():
    fhir_limits = ConcurrencyLimits(at_one=1, in_all=1)
    seen = []

    def broken() -> None:
        with fhir_limits.admit("https://one.example/fhir", well) as fetch:
            seen.extend((fetch, read(fetch)))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken()
    assert seen[1] == "read"
    assert read(seen[0]) == FULL
    with fhir_limits.admit("https://one.example/fhir", well) as later:
        assert read(later) == "read"


def test_the_server_has_more_threads_than_may_wait_for_fhir_servers():
    assert AT_ONE < IN_ALL < IN_ALL + EACH < AT_MOST < AT_ONCE < SETTINGS["threads"]
