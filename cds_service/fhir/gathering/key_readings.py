"""What has been read of one prefetch key so far. It grows while pages arrive, and never leaves the gathering."""

from __future__ import annotations

from ..resources import Resource
from .bundles import Decoded
from .key_states import ABSENT, DATA, FAILED, INCOMPLETE, KeyState, Page, judge, sort
from .shelf import Shelf, medication_to_look_up

PATIENT = "patient"
REQUIRED = (PATIENT, "b12")


class KeyReading:
    """The pages of one key, what is still to be read, and why it could not be."""

    def __init__(self, key: str, template: str, shelf: Shelf) -> None:
        self.key, self.template, self._shelf = key, template, shelf
        self.pages: list[Page] = []
        self.own: list[Resource] = []  # what came under this key, of other patients too
        self.next_urls: list[str] = []  # further pages that were announced and not read yet
        self.failure = ""  # why the server did not give it
        self.unread = ""  # why a further page was not read

    def add(self, decoded: Decoded) -> None:
        """One answer, or one more page of it."""
        self._add(sort(decoded))

    def replace(self, decoded: Decoded) -> None:
        """The server's answer instead of what the client sent, unless that was a part and this is nothing.

        The resources that the client sent remain on the shelf either way.
        """
        page = sort(decoded)
        if self.pages and self.judged()[0] != FAILED and judge([page], self.template, "")[0] == FAILED:
            self.failure = "the server reported a fault"
            return
        self.pages, self.own, self.next_urls = [], [], []
        self._add(page)

    def _add(self, page: Page) -> None:
        self.pages.append(page)
        self.own += page.resources
        self.next_urls.extend(page.next_urls)
        self._shelf.put(page)

    @property
    def of_another_patient(self) -> bool:
        """Whether this is the key of the Patient, and it holds only others."""
        if self.key != PATIENT:
            return False
        ids = {resource.id for resource in self.own if resource.resource_type == "Patient" and resource.id}
        return bool(ids) and self._shelf.patient_id not in ids

    def medications_missing(self) -> list[str]:
        """References of the Medications without which an entry of this key names no medicine."""
        entries = [resource for resource in self.own if resource.medication_reference]
        missing = [medication_to_look_up(resource, self._shelf) for resource in entries]
        return [reference for reference in dict.fromkeys(missing) if reference]

    def judged(self, template: str | None = None) -> tuple[str, str]:
        """State and reason by what came, for this key's template or for another."""
        if not self.pages:
            return (FAILED, self.failure) if self.failure else (ABSENT, "not sent")
        unread = self.unread or ("further pages were not read" if self.next_urls else "")
        return judge(self.pages, self.template if template is None else template, unread)

    def state(self) -> KeyState:
        """The state of this key as it is now. For the Patient it does not matter under which key it came."""
        state, reason = self.judged()
        if self.key == PATIENT:
            if self.of_another_patient:
                state, reason = FAILED, "another patient"
            elif self._shelf.has_patient:
                return KeyState(self.key, DATA, "", 1)
            elif state not in (FAILED, ABSENT):
                state, reason = FAILED, "a Patient without an id"
        if state not in (FAILED, ABSENT, INCOMPLETE) and self.medications_missing():
            state, reason = INCOMPLETE, "a medicine is only a reference that could not be looked up"
        if state in (FAILED, INCOMPLETE) and self.failure and self.pages:
            reason = f"{reason}; {self.failure}"
        return KeyState(self.key, state, reason, len(self.own))
