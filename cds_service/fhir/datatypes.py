"""The data types of FHIR R4 that resources are made of, as far as they are read: every field may be missing.

A list may be a lone object, because some servers send it so. The names are FHIR's, in snake case.
"""

from __future__ import annotations

from decimal import Decimal

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
    route: CodeableConcept | None = None
    dose_and_rate: list[DoseAndRate] | DoseAndRate | None = None
    dose_quantity: Quantity | None = None  # DSTU2 and STU3 leftovers
    dose: Quantity | None = None
