"""Fetches what the client did not send: missing keys, further pages, and Medications that are only referred to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from cds_service.fetching import Fetch, FetchFailed

from . import templates
from .bundles import Decoded, UnreadableError, decode
from .key_readings import PATIENT, REQUIRED, KeyReading
from .key_states import ABSENT, FAILED, INCOMPLETE, sort
from .shelf import Shelf, can_be_fetched
from .side_by_side import Errand, run

PAGES = 50  # of one key
MEDICATIONS = 20  # looked up one by one


def fetch_missing(
    readings: Mapping[str, KeyReading],
    shelf: Shelf,
    context: Mapping[str, str],
    fetch: Fetch,
    deadline: float,
    optional_deadline: float,
) -> None:
    """Complete the readings as far as the deadlines allow. Required keys go first and have more time."""
    errands = _Errands(readings, shelf, context, deadline, optional_deadline)
    run(fetch, errands.first())


class _Errands:
    """Which fetch follows from which."""

    def __init__(
        self,
        readings: Mapping[str, KeyReading],
        shelf: Shelf,
        context: Mapping[str, str],
        deadline: float,
        optional_deadline: float,
    ) -> None:
        self._readings, self._shelf, self._context = readings, shelf, context
        self._deadline, self._optional_deadline = deadline, optional_deadline
        self._pages_seen: set[tuple[str, str]] = set()  # prefetch key and address
        self._looked_up: set[str] = set()  # references of Medications

    def first(self) -> list[Errand]:
        """What to fetch after looking at what was sent, required keys first."""
        keys = sorted(self._readings, key=lambda key: key not in REQUIRED)
        errands = [errand for key in keys for errand in self._of_key(self._readings[key])]
        return errands + [errand for key in keys for errand in self._medications(self._readings[key])]

    def _of_key(self, reading: KeyReading) -> list[Errand]:
        """The query of a key that was not had, or not wholly; where only pages are missing, the next page."""
        state, _ = reading.judged()
        if reading.next_urls and state != FAILED:
            return self._pages(reading)
        wanted = not self._shelf.has_patient if reading.key == PATIENT else state in (ABSENT, FAILED, INCOMPLETE)
        if not wanted or not reading.template:
            return []
        query = templates.fill(reading.template, self._context)
        if query is None:
            reading.failure = "the context does not say what the query needs"
            return []
        return [Errand(query, self._until(reading), partial(self._take_key, reading))]

    def _until(self, reading: KeyReading) -> float:
        return self._deadline if reading.key in REQUIRED else self._optional_deadline

    def _take_key(self, reading: KeyReading, result: bytes | FetchFailed) -> Iterable[Errand] | None:
        decoded = _decoded(result)
        if isinstance(decoded, str):
            reading.failure = _explained(decoded, result, reading.template)
            return []
        reading.replace(decoded)
        if reading.of_another_patient:
            return None
        return self._following(reading)

    def _following(self, reading: KeyReading) -> list[Errand]:
        return self._pages(reading) + self._medications(reading)

    def _pages(self, reading: KeyReading) -> list[Errand]:
        """The next page, unless there are too many or it was read already."""
        if not reading.next_urls:
            return []
        url = reading.next_urls[0]
        if len(reading.pages) >= PAGES:
            reading.unread = "there are too many pages"
        elif (reading.key, url) in self._pages_seen:
            reading.unread = "the pages lead in a circle"
        else:
            self._pages_seen.add((reading.key, url))
            return [Errand(url, self._until(reading), partial(self._take_page, reading))]
        return []

    def _take_page(self, reading: KeyReading, result: bytes | FetchFailed) -> Iterable[Errand]:
        decoded = _decoded(result)
        if isinstance(decoded, Decoded) and decoded.kind != "bundle":
            decoded = "a further page is not a Bundle"
        if isinstance(decoded, str):
            reading.unread = f"a further page was not read: {decoded}"
            return []
        reading.next_urls.pop(0)
        reading.add(decoded)
        return self._following(reading)

    def _medications(self, reading: KeyReading) -> list[Errand]:
        """The Medications to look up. Some entries carry nothing but a reference."""
        errands = []
        for reference in reading.medications_missing():
            full = len(self._looked_up) >= MEDICATIONS
            if reference not in self._looked_up and not full and can_be_fetched(reference):
                self._looked_up.add(reference)
                errands.append(Errand(reference, self._deadline, partial(self._take_medication, reference)))
        return errands

    def _take_medication(self, reference: str, result: bytes | FetchFailed) -> Iterable[Errand]:
        decoded = _decoded(result)
        if isinstance(decoded, Decoded):
            for entry in sort(decoded).own:
                if entry.resource is not None and entry.resource.resource_type == "Medication":
                    self._shelf.include(reference, entry.resource)
        return []


def _decoded(result: bytes | FetchFailed) -> Decoded | str:
    """What the server sent, or why there is nothing."""
    if isinstance(result, FetchFailed):
        return result.reason
    try:
        return decode(result)
    except UnreadableError:
        return "the answer is not FHIR JSON"


def _explained(reason: str, result: bytes | FetchFailed, template: str) -> str:
    """A 404 says different things: this server has no such type, or no such patient."""
    if isinstance(result, FetchFailed) and result.status == 404:
        kind = templates.resource_type(template)
        return (
            f"the FHIR server has no such {kind}"
            if templates.is_read(template)
            else f"the FHIR server offers no {kind}"
        )
    return reason
