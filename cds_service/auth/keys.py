"""The keys of one client as they are just now: those given, or those fetched from its one address (item 128).

A set that is fetched is asked for again when a token names a key that is not in it, and once it is an hour old, but
never more often than every five minutes, by one call at a time, and only from the address that the operator wrote
down. While its server cannot be reached the last set serves for a day. Without any set nobody of this client can call,
so then it is tried every ten seconds. Time is given, in seconds of a clock that is never set back.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from ..cdshooks.jwks import SigningKey, chosen, read_keys
from ..fetching import FetchFailed
from ..http.addresses import Policy, parse_base
from ..http.client import HttpClient
from .clients import Client, KeySource

AT_MOST_EVERY = 300.0  # seconds between two fetches
WITHOUT_ANY = 10.0  # the same, while no key can be used
FRESH, STALE = 3600.0, 86_400.0  # seconds: then it is fetched again; then it is believed no longer
PATIENCE = 2.0  # seconds for one fetch
LARGEST = 256_000  # bytes of a key set

Find = Callable[[str, str, float], SigningKey | None]  # (kid, alg, tick)
Note = Callable[..., None]  # a line of the log: its level, its event, and what is told of it


class FetchedKeys:
    """The key set at one address. Threads share it; the one that fetches lets the others have the last set."""

    def __init__(self, name: str, url: str, outgoing: HttpClient, note: Note) -> None:
        self._name, self._url, self._note = name, url, note
        self._fetch, why = outgoing.fetch_for(url.partition("?")[0])
        assert self._fetch is not None, why  # the policy was made for this address
        self._fetching = threading.Lock()
        self._keys: tuple[SigningKey, ...] = ()
        self._fetched = self._tried = float("-inf")

    def find(self, kid: str, algorithm: str, tick: float) -> SigningKey | None:
        """The key of that name; an unknown one, or a set gone stale, is worth one fetch, if the last is long ago."""
        known = self._known(kid, algorithm, tick)
        if known is None:
            self._fetch_again(tick)
            return self._known(kid, algorithm, tick)
        if tick - self._fetched >= FRESH and tick - self._tried >= AT_MOST_EVERY:
            # in the background: a caller with a good key does not wait for another machine
            threading.Thread(target=self._fetch_again, args=(tick,), daemon=True).start()
        return known

    def _known(self, kid: str, algorithm: str, tick: float) -> SigningKey | None:
        return chosen(self._keys, kid, algorithm) if tick - self._fetched < STALE else None

    def _fetch_again(self, tick: float) -> None:
        """One fetch at a time; who comes meanwhile waits for it, and then finds that it has just been done."""
        if not self._fetching.acquire(timeout=PATIENCE):
            return
        try:
            if tick - self._tried < (AT_MOST_EVERY if tick - self._fetched < STALE else WITHOUT_ANY):
                return
            self._tried = tick
            keys, left_out = read_keys(self._fetch(self._url, time.monotonic() + PATIENCE))
            if not keys:
                raise ValueError("no key in it can be used")
            self._keys, self._fetched = keys, tick
            self._note(logging.INFO, "keys fetched", client=self._name, keys=len(keys), left_out=list(left_out))
        except (FetchFailed, ValueError) as error:
            why = str(error).replace("FHIR server", "key server")
            self._note(logging.WARNING, "keys not fetched", client=self._name, why=why)
        finally:
            self._fetching.release()


def keys_of(client: Client, note: Note) -> Find:
    """How the keys of this client are found. Nothing is fetched before a token asks for it."""
    source = client.keys
    if not source.url:
        return lambda kid, algorithm, _: chosen(source.given, kid, algorithm)
    return FetchedKeys(client.name, source.url, HttpClient(key_policy(source, client.ca_file)), note).find


def key_policy(source: KeySource, ca_file: str | None) -> Policy:
    """The one address, checked like every other that is called."""
    base = parse_base(source.url.partition("?")[0])
    return Policy(bases=(base,), private=source.private, answer_bytes=LARGEST, at_once=1, ca_file=ca_file)
