"""Why something in the record was not used: our own words, never the record's."""

from __future__ import annotations

ANOTHER_PATIENT = "about another patient"
UNREADABLE = "could not be read"
FUTURE = "dated in the future"
NO_DATE = "a date in it is none: before the birth, a placeholder, in the future, before its own start, or unreadable"
UNDATED = "undated, and counts only with a date"
NO_END = "its end contradicts the rest of the entry, or is that of a visit, and does not count"
ANOTHER_TEST = "another test that looks alike"
TWO_TESTS = "its codes name two different tests"
WORDS_ONLY = "recognised by its words only, not by a code"
REPLACED = "replaced by a corrected result"
NO_OUTCOME = "neither positive nor negative can be read from it"
NUMBER = "a number longer or larger than any laboratory reports"
ENTERED_IN_ERROR = "entered in error"
REFUTED = "refuted"
NOT_TAKEN = "not taken"
NOT_DONE = "not done"
DO_NOT_PERFORM = "says that it must not be done"
PROPOSAL = "a proposal or plan"
DRAFT = "a draft"
NOT_ACTIVE = "no longer in force"
NO_STATUS = "its status is missing or unknown"

DAMAGED = (UNDATED, UNREADABLE, NO_STATUS)  # of what was ours, and lost for the way in which it was sent
STATUS = {  # a status that does not count -> why
    "entered-in-error": ENTERED_IN_ERROR,
    "cancelled": "cancelled",
    "registered": "announced, without a result yet",
    "unknown": NO_STATUS,
    "not-done": NOT_DONE,
    "not-taken": NOT_TAKEN,
    "intended": PROPOSAL,
    "draft": DRAFT,
    "preparation": "in preparation",
    "declined": "declined",
    "stopped": "stopped before it was finished",
    "on-hold": "on hold",
    "in-progress": "not finished",
    "revoked": NOT_ACTIVE,
    "completed": NOT_ACTIVE,
    "health-unknown": "says that nothing is known",
}

REASONS = frozenset(  # all but those that name a specimen; the metrics may count them by name
    {ANOTHER_PATIENT, UNREADABLE, FUTURE, NO_DATE, UNDATED, NO_END, ANOTHER_TEST, TWO_TESTS, WORDS_ONLY, REPLACED}
    | {NO_OUTCOME, NUMBER, REFUTED, DO_NOT_PERFORM, *STATUS.values()}
)


def of_status(status: str) -> str:
    """The reason for a status that does not count. A status that FHIR does not know is not repeated."""
    return STATUS.get(status, NO_STATUS)


def of_specimen(specimen: str) -> str:
    """The reason for a specimen that is neither serum, plasma nor blood."""
    return f"specimen: {specimen}"
