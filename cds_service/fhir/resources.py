"""The part of FHIR R4 that is read, as tolerant types: every field may be missing, and a list may be a lone object.

One wide `Resource` serves all resource types, Bundle among them, so that a hook request is decoded with its prefetch in
one pass, whatever it holds. What does not fit is decoded entry by entry by `cds_service.fhir.bundles`. The names are
FHIR's, in snake case.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TypeVar

import msgspec


class Fhir(msgspec.Struct, rename="camel", gc=False):
    """Base of the FHIR types: camel case on the wire, not tracked by the garbage collector (they form no cycles)."""


class Coding(Fhir):
    system: str | None = None
    code: str | None = None
    display: str | None = None


class CodeableConcept(Fhir):
    coding: list[Coding] | Coding | None = None
    text: str | None = None
    concept: CodeableConcept | None = None  # of R5 CodeableReferences where R4 has a concept: ServiceRequest.code


class Quantity(Fhir):
    value: Decimal | None = None
    comparator: str | None = None
    unit: str | None = None
    system: str | None = None
    code: str | None = None


class Identifier(Fhir):
    system: str | None = None
    value: str | None = None


class Reference(Fhir):
    reference: str | None = None
    display: str | None = None
    type: str | None = None
    identifier: Identifier | None = None


class CodeableReference(Fhir):
    """R5: a concept, a reference, or both."""

    concept: CodeableConcept | None = None
    reference: Reference | None = None


class Ratio(Fhir):
    numerator: Quantity | None = None
    denominator: Quantity | None = None


class Period(Fhir):
    start: str | None = None
    end: str | None = None


class Range(Fhir):
    low: Quantity | None = None
    high: Quantity | None = None


class Repeat(Fhir):
    bounds_duration: Quantity | None = None
    bounds_period: Period | None = None
    count: Decimal | None = None
    frequency: Decimal | None = None
    period: Decimal | None = None
    period_max: Decimal | None = None
    period_unit: str | None = None
    day_of_week: list[str] | str | None = None
    when: list[str] | str | None = None


class Timing(Fhir):
    event: list[str] | str | None = None
    repeat: Repeat | None = None
    code: CodeableConcept | None = None


class DoseAndRate(Fhir):
    dose_quantity: Quantity | None = None
    dose_range: Range | None = None


class Dosage(Fhir):
    """Dosage of an order or a statement; also MedicationAdministration.dosage, which has `dose` itself."""

    sequence: Decimal | None = None
    text: str | None = None
    timing: Timing | None = None
    as_needed_boolean: bool | None = None
    as_needed_codeable_concept: CodeableConcept | None = None
    route: CodeableConcept | None = None
    dose_and_rate: list[DoseAndRate] | DoseAndRate | None = None
    dose_quantity: Quantity | None = None  # DSTU2 and STU3 leftovers
    dose: Quantity | None = None


T = TypeVar("T")
NOTHING = msgspec.Raw(b"null")  # what stands for a part that was not sent


class Ingredient(Fhir):
    """Medication.ingredient."""

    item_codeable_concept: CodeableConcept | None = None
    item_reference: Reference | None = None
    item: CodeableReference | None = None  # R5: instead of the two before
    strength: Ratio | None = None
    strength_ratio: Ratio | None = None  # R5

    @property
    def concept(self) -> CodeableConcept | None:
        """What it is, in the form of R4 or of R5."""
        return self.item_codeable_concept or (self.item.concept if self.item else None)

    @property
    def reference(self) -> Reference | None:
        """Where it is described, in the form of R4 or of R5."""
        return self.item_reference or (self.item.reference if self.item else None)


class ReferenceRange(Fhir):
    low: Quantity | None = None
    high: Quantity | None = None
    type: CodeableConcept | None = None
    text: str | None = None


class Component(Fhir):
    code: CodeableConcept | None = None
    value_quantity: Quantity | None = None
    value_codeable_concept: CodeableConcept | None = None
    value_string: str | None = None
    value_boolean: bool | None = None
    value_integer: Decimal | None = None
    interpretation: list[CodeableConcept] | CodeableConcept | None = None
    reference_range: list[ReferenceRange] | ReferenceRange | None = None
    data_absent_reason: CodeableConcept | None = None


class FamilyCondition(Fhir):
    code: CodeableConcept | None = None


class Issue(Fhir):
    severity: str | None = None
    code: str | None = None
    details: CodeableConcept | None = None
    diagnostics: str | None = None


class Participant(Fhir):
    """Of an Appointment."""

    actor: Reference | None = None


class Restriction(Fhir):
    """Of a Task: when it is to be done."""

    period: Period | None = None


class Resource(Fhir):
    """Any resource. Only what some reader needs is named; everything else is skipped unread.

    The fields of an Observation stand in the order in which servers write them: the decoder finds those fastest.
    """

    resource_type: str = ""
    id: str | None = None
    identifier: list[Identifier] | Identifier | None = None
    status: str | None = None
    intent: str | None = None
    do_not_perform: bool | None = None
    code: list[CodeableConcept] | CodeableConcept | str | None = None
    subject: list[Reference] | Reference | None = None
    patient: Reference | None = None
    contained: list[Resource] | None = None
    # Observation
    effective_date_time: str | None = None
    effective_period: Period | None = None
    effective_instant: str | None = None
    issued: str | None = None
    value_quantity: Quantity | None = None
    value_codeable_concept: CodeableConcept | None = None
    value_string: str | None = None
    value_boolean: bool | None = None
    value_integer: Decimal | None = None
    interpretation: list[CodeableConcept] | CodeableConcept | None = None
    reference_range: list[ReferenceRange] | ReferenceRange | None = None
    data_absent_reason: CodeableConcept | None = None
    specimen: list[Reference] | Reference | None = None  # a list in DiagnosticReport and ServiceRequest
    component: list[Component] | Component | None = None
    # Specimen; a string in a Bundle or an AllergyIntolerance, a list in an Encounter
    type: list[CodeableConcept] | CodeableConcept | str | None = None
    # Condition
    category: msgspec.Raw = NOTHING  # Observations have one too, which nobody reads
    clinical_status: list[CodeableConcept] | CodeableConcept | str | None = None
    verification_status: list[CodeableConcept] | CodeableConcept | str | None = None
    onset_date_time: str | None = None
    onset_period: Period | None = None
    abatement_date_time: str | None = None
    abatement_period: Period | None = None
    abatement_boolean: bool | None = None
    abatement_string: str | None = None
    abatement_age: Quantity | None = None
    recorded_date: str | None = None
    asserted_date: str | None = None
    # medicines
    medication_codeable_concept: CodeableConcept | None = None
    medication_reference: Reference | None = None
    medication: CodeableReference | None = None  # R5: instead of the two before
    reported_boolean: bool | None = None
    reported_reference: Reference | None = None
    reported: bool | None = None  # R5
    based_on: msgspec.Raw = NOTHING  # results have it too, where nobody reads it
    request: Reference | None = None  # of a MedicationAdministration: what it carries out
    authorizing_prescription: list[Reference] | Reference | None = None  # of a MedicationDispense
    adherence: Adherence | None = None  # R5 MedicationStatement
    authored_on: str | None = None
    date_asserted: str | None = None
    date_written: str | None = None
    when_handed_over: str | None = None
    when_prepared: str | None = None
    dosage_instruction: list[Dosage] | Dosage | None = None
    dosage: list[Dosage] | Dosage | None = None
    ingredient: list[Ingredient] | Ingredient | None = None
    form: CodeableConcept | None = None
    dispense_request: DispenseRequest | None = None
    days_supply: Quantity | None = None
    quantity: Quantity | None = None
    taken: str | None = None  # STU3 MedicationStatement
    was_not_taken: bool | None = None  # DSTU2 MedicationStatement
    not_given: bool | None = None  # STU3 MedicationAdministration
    was_not_given: bool | None = None  # DSTU2 MedicationAdministration
    not_done: bool | None = None  # STU3 Procedure
    not_performed: bool | None = None  # DSTU2 Procedure
    # Procedure
    performed_date_time: str | None = None
    performed_period: Period | None = None
    occurrence_period: Period | None = None  # R5
    occurence_date_time: str | None = None  # so R5 spells it in MedicationAdministration
    occurence_period: Period | None = None
    # ServiceRequest: orderDetail is not read
    occurrence_date_time: str | None = None
    # AllergyIntolerance
    reaction: list[Reaction] | Reaction | None = None
    # FamilyMemberHistory
    condition: list[FamilyCondition] | FamilyCondition | None = None
    # Appointment and Task; its lists are read by the reader, where there is one of an injection
    service_type: msgspec.Raw = NOTHING
    reason_code: msgspec.Raw = NOTHING
    participant: msgspec.Raw = NOTHING
    description: str | None = None
    start: str | None = None
    restriction: Restriction | None = None
    beneficiary: Reference | None = msgspec.field(default=None, name="for")
    # Patient
    gender: str | None = None
    birth_date: str | None = None
    deceased_boolean: bool | None = None
    deceased_date_time: str | None = None
    # OperationOutcome
    issue: list[Issue] | Issue | None = None
    # A Bundle, sent as it is or inside another; `total` is a list in a Claim
    total: msgspec.Raw = NOTHING
    link: list[Link] | Link | None = None
    entry: list[Entry] | Entry | None = None
    issues: Resource | None = None  # R5: an OperationOutcome about the whole


class Adherence(Fhir):
    code: CodeableConcept | None = None


class Reaction(Fhir):
    substance: CodeableConcept | None = None


class DispenseRequest(Fhir):
    validity_period: Period | None = None


class Search(Fhir):
    mode: str | None = None


class Entry(Fhir):
    full_url: str | None = None
    resource: Resource | None = None
    search: Search | None = None


class Link(Fhir):
    relation: str | None = None
    rel: str | None = None  # as other formats call it, and some servers too
    url: str | None = None


def listed(value: list[T] | T | None) -> list[T]:
    """A list, whether one was sent, a lone object, or nothing."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def medicine_of(resource: Resource) -> tuple[CodeableConcept | None, Reference | None]:
    """(concept, reference) by which an entry names its medicine, in the form of R4 or of R5."""
    concept, reference, either = (
        resource.medication_codeable_concept,
        resource.medication_reference,
        resource.medication,
    )
    if either is None:
        return concept, reference
    return concept or either.concept, reference or either.reference
