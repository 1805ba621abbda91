"""Too many calls, slow clients, a killed worker: each is answered in time, or told at once to come again (part 7).

Real processes and connections, except where one place too few is enough to see it.
"""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.client import HTTPException
from pathlib import Path

import pytest

from cds_service.server.server import SETTINGS
from cds_service.server.worker import PATIENCE, SLOW_AT_ONCE
from cds_service.web.calls import AT_ONCE, LONGEST_WAIT, OF_ONE_CLIENT, WAITED, CallLimit, FeedbackShare
from cds_service.web.messages import Refused
from tests.endings import all_ended
from tests.hooks import slow_service
from tests.hooks.calling import CONTEXT, PATH, Caller, body, one_issue
from tests.hooks.living import prefetch
from tests.hooks.processes import (
    Family,
    answers,
    call,
    descendants,
    ends_well,
    free_port,
    insist,
    running,
    until,
    with_pid,
)
from tests.store.databases import until as wait_until

CALL = json.dumps(body(prefetch=prefetch())).encode()
WAITS = json.dumps(body()).encode()
FAST = json.dumps(body(context={**CONTEXT, "userId": "fast"})).encode()
HEAD = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
SLOW_CLIENTS = int(SETTINGS["threads"]) + 24  # more than there are threads


@contextmanager
def service(port: int, file: Path, *changed: str) -> Iterator[Family]:
    """The service that answers when the file is there."""
    with running(str(port), str(file), *changed, of=slow_service.__name__) as process:
        until(answers(port), process)
        yield process


def come_again(answer: tuple[int, dict[str, str], bytes]) -> None:
    """It is a 503 that says when, and in the form in which errors are told."""
    status, headers, told = answer
    assert (status, headers["Retry-After"]) == (503, "1")
    assert json.loads(told)["issue"][0]["code"] == "transient"


def test_one_call_too_many_is_told_to_come_again_and_the_others_are_answered(tmp_path):
    port, file = free_port(), tmp_path / "go"
    with service(port, file) as process, ThreadPoolExecutor(AT_ONCE) as crowd:
        waiting = [crowd.submit(insist, port, "POST", PATH, WAITS) for _ in range(AT_ONCE)]
        until(lambda: call(port, "POST", PATH, FAST)[0] == 503, process)
        come_again(call(port, "POST", PATH, FAST))
        come_again(call(port, "POST", f"{PATH}/feedback", b'{"feedback": []}'))
        assert call(port, "GET", "/cds-services")[0] == 200
        file.touch()
        assert {each.result()[0] for each in waiting} == {200}
        assert call(port, "POST", PATH, FAST)[0] == 200


def test_a_call_that_waited_too_long_for_a_thread_is_told_to_come_again(tmp_path):
    port, file = free_port(), tmp_path / "go"
    with service(port, file, "threads=1") as process, ThreadPoolExecutor(2) as crowd:
        first = crowd.submit(call, port, "POST", PATH, WAITS)
        until(slow_service.inside(file).exists, process)
        second = crowd.submit(call, port, "POST", PATH, FAST)
        time.sleep(LONGEST_WAIT + 0.5)  # the time itself is what is tried
        file.touch()
        assert first.result()[0] == 200
        come_again(second.result())
        assert call(port, "POST", PATH, FAST)[0] == 200
        assert process.poll() is None


def test_a_place_is_given_back_whatever_happens():
    limit = CallLimit(at_once=1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), limit.admit({}):
            raise ZeroDivisionError
    with limit.admit({}), pytest.raises(Refused) as refused, limit.admit({}):
        pass
    assert refused.value.status == 503
    with pytest.raises(Refused), limit.admit({WAITED: LONGEST_WAIT + 0.1}):
        pass
    with limit.admit({WAITED: LONGEST_WAIT - 0.1}):
        pass


def test_a_flood_of_feedback_holds_up_the_client_that_sends_it_and_nobody_else():
    share, admitted, go_on = FeedbackShare(at_once=3, written=2), [], threading.Event()

    def send(client: str) -> None:
        with share.admit(client):
            admitted.append(client)
            assert go_on.wait(60)

    with ThreadPoolExecutor(8) as pool:
        sent = [pool.submit(send, "flood") for _ in range(2)]
        wait_until(lambda: admitted == ["flood"] * 2)
        with pytest.raises(Refused) as refused, share.admit("flood"):  # its turn does not come in time
            pass
        sent.append(pool.submit(send, "other"))
        wait_until(lambda: admitted[-1] == "other")
        go_on.set()
        for each in sent:
            each.result(60)
    assert (refused.value.status, dict(refused.value.headers)) == (503, {"Retry-After": "1"})
    small = FeedbackShare(at_once=1)
    with small.admit("flood"), pytest.raises(Refused), small.admit("flood"):  # beyond its share it does not even wait
        pass
    with share.admit("flood"):  # whatever happened, the places are free again
        pass


def test_a_call_that_is_refused_for_want_of_room_is_an_outcome():
    response = Caller().post(body(), environ={WAITED: LONGEST_WAIT + 1})
    assert one_issue(response, 503)["code"] == "transient"
    assert response.headers["Retry-After"] == "1"


def test_there_are_more_threads_than_places():
    assert OF_ONE_CLIENT < AT_ONCE / 2
    from cds_service.http.concurrency import IN_ALL

    assert IN_ALL + SLOW_AT_ONCE < AT_ONCE < int(SETTINGS["threads"])


@contextmanager
def slow_clients(port: int, head: str, piece: bytes) -> Iterator[list[socket.socket]]:
    """Clients that send this, and then a little more again and again."""
    stop = threading.Event()

    def drip(connections: list[socket.socket]) -> None:
        while not stop.wait(0.2):
            for each in list(connections):
                try:
                    each.sendall(piece)
                except OSError:
                    connections.remove(each)

    with ExitStack() as open_ones:
        connections = [
            open_ones.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            for _ in range(SLOW_CLIENTS)
        ]
        for each in connections:
            each.sendall(head.encode())
        dripping = threading.Thread(target=drip, args=(connections,))
        dripping.start()
        try:
            yield list(connections)
        finally:
            stop.set()
            all_ended([dripping])


@pytest.mark.parametrize(
    ("head", "piece", "told"),
    [
        (f"{HEAD}Content-Length: 5000\r\n\r\n{{", b" ", b"408"),
        (f"{HEAD}Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", b"408"),
        (f"{HEAD}X-Slow: ", b"x", b""),
        ("", b"", b""),
    ],
    ids=["body", "chunks", "head", "nothing"],
)
def test_slow_clients_are_ended_and_hold_up_nobody(head, piece, told):
    port = free_port()
    with running("serve", "--demo", "--port", str(port)) as process:
        until(answers(port), process)
        with slow_clients(port, head, piece) as slow:
            took = []
            for _ in range(10):
                began = time.monotonic()
                assert call(port, "POST", PATH, CALL)[0] == 200
                took.append(time.monotonic() - began)
            assert min(took) < PATIENCE - 1  # or each would have waited for a slow client to be given up
            heard = [until_closed(each) for each in slow]
        assert any(told in each[:20] for each in heard)
        ends_well(process, signal.SIGTERM)
        assert '"bug"' not in process.told()


def until_closed(connection: socket.socket) -> bytes:
    """What the service says before it closes the connection, which it does."""
    connection.settimeout(PATIENCE * 4)
    heard = b""
    try:
        while piece := connection.recv(4096):
            heard += piece
    except ConnectionError:
        pass
    return heard


def test_a_worker_that_is_killed_is_replaced_and_calls_go_on():
    port = free_port()
    with running("serve", "--demo", "--port", str(port), CDS_WORKERS="2") as process:
        until(answers(port), process)
        until(lambda: len(descendants(process.pid)) == 2, process)  # the second may begin after the first answers
        first = set(descendants(process.pid))
        statuses: list[int] = []
        ended = threading.Event()

        def calls() -> None:
            while not ended.is_set():
                try:
                    statuses.append(call(port, "POST", PATH, CALL)[0])
                except (OSError, HTTPException):  # it died with the worker: a client calls again
                    statuses.append(0)

        with ThreadPoolExecutor(4) as crowd, ExitStack() as ends:
            ends.callback(ended.set)  # whatever fails here: the pool waits for its threads
            for _ in range(4):
                crowd.submit(calls)
            until(lambda: len(statuses) > 20, process)
            with_pid(min(first), signal.SIGKILL)
            until(lambda: len(set(descendants(process.pid)) - first) == 1, process)
            before = len(statuses)
            until(lambda: len(statuses) > before + 20, process)
        assert set(statuses) <= {200, 0}
        assert statuses.count(0) <= 4
        assert statuses[-1] == 200
        ends_well(process, signal.SIGTERM)
