"""An engine's answer is that to its question: none that comes late is taken for the answer to another."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator

import pytest

from tests.cql.engines import AnotherAnswerError, Engine

# Answers what it is asked. "late": only with the next question, and meanwhile whoever asked has no more time.
PROGRAM = """
import os, signal, sys
late = ""
for line in sys.stdin:
    if "late" in line:
        late = line
        os.kill(os.getppid(), signal.SIGUSR1)
    elif "end" in line:
        sys.exit("its own reason")
    else:
        print(late + line.replace("7", "8") if "odd" in line else late + line, end="", flush=True)
        late = ""
"""


class TimeIsUpError(BaseException):
    """As pytest-timeout ends a test: whatever it waits for."""


@pytest.fixture
def engine() -> Iterator[Engine]:
    def end(*_: object) -> None:
        raise TimeIsUpError

    before = signal.signal(signal.SIGUSR1, end)
    engine = Engine("it", [sys.executable, "-c", PROGRAM])
    yield engine
    engine.end()
    signal.signal(signal.SIGUSR1, before)


def test_after_a_question_that_nobody_waited_for_the_next_has_its_own_answer(engine):
    assert engine.ask({"question": "first"}) == {"question": "first"}
    for question in ("second", "third"):
        with pytest.raises(TimeIsUpError):
            engine.ask({"question": "late"})
        assert engine.ask({"question": question}) == {"question": question}


def test_an_answer_with_the_number_of_another_question_is_refused(engine):
    for number in range(1, 7):
        assert engine.ask({"question": "same"}) == {"question": "same"}, number
    with pytest.raises(AnotherAnswerError, match="it was asked 7 and answered 8"):
        engine.ask({"question": "odd"})
    assert engine.ask({"question": "next"}) == {"question": "next"}


def test_an_engine_that_ends_says_why_and_the_next_question_goes_to_a_new_one(engine):
    for _ in range(2):
        with pytest.raises(AssertionError, match="it ended: its own reason"):
            engine.ask({"question": "end"})
    assert engine.ask({"question": "next"}) == {"question": "next"}
