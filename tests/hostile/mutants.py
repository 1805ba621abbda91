"""What an attacker or a broken program makes of a good body: bytes, numbers, depth, texts, sizes, shapes.

Every mutant has a number, and the same number makes the same mutant: a failure is tried again by its number alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from random import Random
from typing import Any

BYTES = (b"\0", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\x1f\x8b", b"{", b"}", b"[", b"]", b'"', b"\\",
         b",", b":", b"\\u0000", b"\\ud800", b"\r\n", b"NaN", b"Infinity", b"//", b"#", b"<!--", b"%00",
         b"\xe2\x80\xa8")  # fmt: skip
NUMBERS = (b"1e1000000000000000000000", b"-1e1000000000000000000000", b"1e-1000000000000000000000", b"1E400", b"5e-324",
           b"-0", b"-0.0", b"0e0", b"9" * 400, b"0." + b"3" * 400, b"1" * 5000, b"2147483648", b"-9223372036854775809",
           b"1e6144", b"1e-6176", b"00", b"+1", b".5", b"1.", b"0x10", b"1_000", b"true", b"null")  # fmt: skip
TEXTS = ("", " ", "\0", "\u202e", "\u200b", "\ufeff", "\ud800", "\U0001f9ea", "e\u0301" * 20, "٣", "１５０", "µ",
         "x" * 70_000, "../../etc/passwd", "'; DROP TABLE decision; --", "<script>alert(1)</script>", "{{7*7}}", "%s%n",
         "${jndi:ldap://x}", "Patient/", "Patient/pt-1/_history/1", "#", "urn:uuid:", "http://", "http://[::1",
         "//evil.example", "0000-00-00", "9999-12-31T23:59:60Z", "2026-02-30", "-0001-01-01",
         "2026-01-15T12:00:00+99:99", "NaN", "null", "true")  # fmt: skip
VALUES: tuple[Any, ...] = (None, True, False, 0, -1, 1e308, 2**63, 10**30, "", [], {}, [[]], [None], {"": None}, [{}],
                           {"a": []})  # fmt: skip
NUMBER_AT = re.compile(rb"(?<=[:\[,])\s*-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?=\s*[,\]}])")
LARGEST = 200_000  # bytes that one mutant may grow to: sizes beyond have tests of their own

Place = tuple[Any, Any]  # a container, and the key or index in it


def mutant(good: bytes, number: int) -> bytes:
    """The mutant of that number of a body: up to four changes, of one kind or of several."""
    random = Random(number)
    body = good
    for _ in range(random.choice((1, 1, 1, 2, 3, 4))):
        body = random.choice(CHANGES)(body, random)
    return body[:LARGEST]


def other_bytes(body: bytes, random: Random) -> bytes:
    """Bytes put in, taken out, doubled or cut off."""
    at = random.randrange(len(body) + 1)
    end = min(at + random.choice((1, 1, 2, 8, 100)), len(body))
    kind = random.randrange(5)
    if kind == 0:
        return body[:at] + random.choice(BYTES) + body[at:]
    if kind == 1:
        return body[:at] + random.choice(BYTES) + body[end:]
    if kind == 2:
        return body[:at] + body[end:]
    if kind == 3:
        return body[:end] + body[at:]
    return body[:at]


def other_number(body: bytes, random: Random) -> bytes:
    """A number with an exponent, a precision or a form that nobody sends."""
    found = [*NUMBER_AT.finditer(body)]
    if not found:
        return body
    one = random.choice(found)
    return body[: one.start()] + random.choice(NUMBERS) + body[one.end() :]


def deeper(body: bytes, random: Random) -> bytes:
    """A value inside many lists or objects."""
    value, found = opened(body)
    if not found:
        return body
    levels = random.choice((5, 60, 64, 65, 200, 5_000))
    opening, closing = random.choice((("[", "]"), ('{"a":', "}"), ('{"extension":[', "]}"), ('{"contained":[', "]}")))
    container, key = random.choice(found)
    container[key] = "HERE"
    inner = (opening * levels + "0" + closing * levels).encode()
    return json.dumps(value).encode().replace(b'"HERE"', inner, 1)


def other_value(body: bytes, random: Random) -> bytes:
    """A value of another kind, or a text that means harm."""
    value, found = opened(body)
    if not found:
        return body
    container, key = random.choice(found)
    container[key] = random.choice(TEXTS) if random.random() < 0.6 else random.choice(VALUES)
    return json.dumps(value).encode()


def other_shape(body: bytes, random: Random) -> bytes:
    """An element left out, wrapped, unwrapped, renamed, or in another's place."""
    value, found = opened(body)
    if not found:
        return body
    container, key = random.choice(found)
    kind = random.randrange(5)
    if kind == 0:
        del container[key]
    elif kind == 1:
        container[key] = [container[key]]
    elif kind == 2:
        other, place = random.choice(found)
        container[key] = json.loads(json.dumps(other[place]))
    elif kind == 3 and isinstance(container, dict):
        container[random.choice(TEXTS)[:100]] = container.pop(key)
    else:
        inner = container[key]
        container[key] = inner[0] if isinstance(inner, list) and inner else {"value": inner}
    return json.dumps(value).encode()


def many(body: bytes, random: Random) -> bytes:
    """An element many times over."""
    value, found = opened(body)
    lists = [(container, key) for container, key in found if isinstance(container[key], list) and container[key]]
    if not lists:
        return body
    container, key = random.choice(lists)
    container[key] = container[key] * random.choice((2, 10, 100))
    sent = json.dumps(value).encode()
    return sent if len(sent) <= LARGEST else body


def twice(body: bytes, random: Random) -> bytes:
    """A key that comes twice, with two values."""
    keys = [*re.finditer(rb'"\w+"\s*:', body)]
    if not keys:
        return body
    one = random.choice(keys)
    return (
        body[: one.start()] + one[0] + random.choice((b"null,", b'"x",', b"[],", b"{},", b"1,")) + body[one.start() :]
    )


CHANGES: tuple[Callable[[bytes, Random], bytes], ...] = (
    other_bytes, other_number, other_number, deeper, other_value, other_value, other_shape, other_shape, many, twice,
)  # fmt: skip


def opened(body: bytes) -> tuple[Any, list[Place]]:
    """The value of a body, and every place in it; none where it can no longer be read."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None, []
    return value, places(value)


def places(value: Any) -> list[Place]:
    """Every place in a JSON value at which something else could stand."""
    found: list[Place] = []
    waiting = [value]
    while waiting:
        inner = waiting.pop()
        steps = inner.items() if isinstance(inner, dict) else enumerate(inner) if isinstance(inner, list) else ()
        for key, each in steps:
            found.append((inner, key))
            waiting.append(each)
    return found


def hostile_text(random: Random) -> str:
    """One field of a form, or of a query."""
    text = random.choice(TEXTS)
    return random.choice((text, text * 3, str(random.choice(VALUES)), random.choice(NUMBERS).decode()))[:LARGEST]
