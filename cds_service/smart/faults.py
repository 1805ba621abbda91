"""What may go wrong with a launch: what a clinician reads then, and the one word under which the log has it."""

from __future__ import annotations

from dataclasses import dataclass

from cds_service.metrics import DENIED, LAUNCH_FAILED, TURNED_AWAY

AGAIN = "Go back to the chart and open the link on the card again."
ASK = "If it happens again, tell whoever looks after this service: the word in brackets is in its log."


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault. `what`: what happened; `do`: what the reader can do; `outcome`: how it counts."""

    status: int
    heading: str
    what: str
    do: str = f"{AGAIN} {ASK}"
    outcome: str = LAUNCH_FAILED


FAULTS = {
    "not-a-launch": Fault(
        400,
        "This is not a launch",
        "The address was opened without the FHIR server of a record system, and none can be chosen here.",
        "Open a patient's chart and follow the link on a card.",
        outcome=TURNED_AWAY,
    ),
    "foreign-iss": Fault(
        403,
        "This record system is not known here",
        "The launch names a FHIR server that is not one of a record system of this service. Nothing was called.",
        f"Was the link made by your record system? {ASK}",
        outcome=TURNED_AWAY,
    ),
    "silent": Fault(
        403,
        "Nothing is shown during the pilot",
        "This service runs in silent mode for your record system: it decides and shows nothing.",
        "There is nothing for you to do.",
        outcome=TURNED_AWAY,
    ),
    "configuration": Fault(
        502, "The record system cannot be asked", "Its authorization server's addresses could not be read."
    ),
    "configuration-unfit": Fault(
        502,
        "The record system cannot be asked",
        "What its authorization server says of itself cannot be used: an address that is not allowed here, or no PKCE.",
        ASK,
    ),
    "cookies": Fault(
        200,
        "Open this in a window of its own",
        "Your browser keeps no cookie for a page inside another one, so the launch cannot be completed in this frame.",
        "The link below opens the evidence in a new window.",
        outcome=TURNED_AWAY,
    ),
    "unknown-state": Fault(
        400,
        "This launch is not known here",
        "It was completed already, took longer than ten minutes, or was not begun in this browser. Nothing was read.",
        outcome=TURNED_AWAY,
    ),
    "expired-state": Fault(
        400,
        "This launch took too long",
        "Between the link and the consent lay more than ten minutes. Nothing was read.",
        outcome=TURNED_AWAY,
    ),
    "denied": Fault(
        403,
        "Access was not granted",
        "You, or the record system, did not allow this service to read the record. Nothing was read.",
        f"{AGAIN} Without access the cards in the chart remain what they are.",
        outcome=DENIED,
    ),
    "refused": Fault(
        502,
        "The record system refused the launch",
        "Its authorization server answered with an error. Nothing was read.",
    ),
    "other-issuer": Fault(
        400,
        "The answer came from elsewhere",
        "It is not that of the authorization server that was asked. Nothing was read.",
    ),
    "code-refused": Fault(
        403,
        "The record system does not accept this launch",
        "Its authorization server gave no access for the answer that came: it was used before, is too old, or was not "
        "made for this launch. Nothing was read.",
    ),
    "no-token": Fault(
        502, "No access to the record", "The record system's authorization server could not be asked for access."
    ),
    "token-unfit": Fault(
        502, "No access to the record", "What the record system's authorization server answered cannot be used."
    ),
    "id-token": Fault(
        403,
        "Who you are could not be confirmed",
        "The record system's statement about who is signed in is not believed: its signature, its time, or for whom it "
        "was made. Nothing was read.",
    ),
    "no-patient": Fault(
        403,
        "No patient was chosen",
        "The record system gave access without saying to which patient's record. Nothing was read.",
        "Open the chart of a patient and follow the link on a card.",
        outcome=TURNED_AWAY,
    ),
    "other-patient": Fault(
        403,
        "This is another patient",
        "The card was about one patient, and the record system gave access to the record of another one. Nothing was "
        "read or shown.",
        "Close this window, look whose chart is open, and open the link on the card again.",
        outcome=TURNED_AWAY,
    ),
}


class LaunchFault(Exception):
    """A launch that ends here. `why` is a key of FAULTS; `detail` in our own words, for the reader and the log."""

    def __init__(self, why: str, detail: str = "") -> None:
        self.why, self.detail = why, detail
        super().__init__(why)

    @property
    def fault(self) -> Fault:
        return FAULTS[self.why]
