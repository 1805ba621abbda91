"""Gathers the data of one hook call: what the client sent, then what is missing from its FHIR server.

Every prefetch key ends in one of six states (`key_states`). Keys that were not sent, or that failed, are fetched side
by side; further pages are followed; and everything stops at a deadline. The optional keys are given up earlier than
the required ones. What was read of a key before it was given up still counts, and the state says that it is a part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from ..clinical.record import Ignored
from ..fetching import Fetch, FetchFailed
from .bundles import decode
from .fetch import Fetching, fetch_missing
from .index import ResourceIndex
from .key_states import (
    ABSENT,
    DATA,
    EMPTY,
    FAILED,
    INCOMPLETE,
    NULL,
    OTHERS_ONLY,
    PATIENT,
    REQUIRED,
    KeyReading,
    KeyState,
    state_by_other_keys,
)
from .resources import Resource

__all__ = ["REQUIRED", "Fetch", "FetchFailed", "Fetching", "Gathered", "KeyState", "gather"]

OWN_NAMES = 100  # keys of the client's own naming that are read; a request could hold half a million
MORE_NAMES = f"more than {OWN_NAMES} prefetch keys that are not ours"


@dataclass(frozen=True, slots=True)
class Gathered:
    """All that came of one patient. `included` came along with matches and may belong to anybody: for lookups only."""

    resources: tuple[Resource, ...]
    included: tuple[Resource, ...]
    states: Mapping[str, KeyState]  # of every published key, and of every key that was sent
    ignored: tuple[Ignored, ...]
    is_own: Callable[[Resource], bool]  # is it about the patient of the context?
    find: Callable[[str], Resource | None]  # by reference: relative, absolute or with a version; none contained
    wrong_patient: bool = False  # the Patient that came is not the patient of the context
    published: frozenset[str] = frozenset()  # the keys that we ask for
    versions: bool = True  # may there be several of one reference among the resources?

    @property
    def unavailable(self) -> frozenset[str]:
        """Published keys of which nothing could be had."""
        return self._published_in(ABSENT, FAILED)

    @property
    def incomplete(self) -> frozenset[str]:
        """Published keys of which there is, or may be, more than was read."""
        return self._published_in(INCOMPLETE)

    @property
    def of_others_only(self) -> frozenset[str]:
        """Published keys whose search brought only other people's resources: somebody's query or data is wrong."""
        return frozenset(key for key in self.published if self.states[key].reason.startswith(OTHERS_ONLY))

    def answered(self, key: str) -> bool:
        """Whether all there is under this key is known, be it nothing."""
        state = self.states.get(key)
        return state is not None and state.state in (DATA, EMPTY, NULL)

    def _published_in(self, *states: str) -> frozenset[str]:
        return frozenset(key for key in self.published if self.states[key].state in states)


def gather(
    prefetch: Mapping[str, Resource | msgspec.Raw | None],
    templates: Mapping[str, str],
    context: Mapping[str, str],
    fetching: Fetching | None = None,
) -> Gathered:
    """The data for these templates. Where `fetching` is None, it is what the client sent.

    Raises `bundles.UnreadableError` where what the client sent is not JSON, or is nested too deep.
    """
    index = ResourceIndex(context["patientId"])
    readings = {key: KeyReading(key, template, index) for key, template in templates.items()}
    own_names = [key for key in prefetch if key not in templates]
    readings |= {key: KeyReading(key, "", index) for key in own_names[:OWN_NAMES]}
    if len(own_names) > OWN_NAMES:
        index.ignored.append(Ignored("", MORE_NAMES))
    for key in [key for key in prefetch if key in readings]:
        readings[key].add(decode(prefetch[key]))
    if fetching is not None and not _of_another_patient(readings):
        fetch_missing(readings, index, context, fetching)
    states = {key: reading.state() for key, reading in readings.items()}
    for key in templates:
        if states[key].state in (ABSENT, FAILED):
            states[key] = state_by_other_keys(key, readings)
    return Gathered(
        tuple(index.resources),
        tuple(index.included),
        states,
        tuple(index.ignored),
        index.is_own,
        index.find,
        _of_another_patient(readings),
        frozenset(templates),
        index.versions,
    )


def _of_another_patient(readings: Mapping[str, KeyReading]) -> bool:
    """Whether the Patient that came is another than the patient of the context."""
    return PATIENT in readings and readings[PATIENT].of_another_patient
