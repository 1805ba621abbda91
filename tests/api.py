"""The service as vignette, golden and property tests know it: what they call, and the types that they speak of.

They import nothing else of it (tests/packaging says so), so that a rename or a move inside changes this file only.
"""

from __future__ import annotations

from cds_service.app import client_config, create_app
from cds_service.cdshooks.client_config import ClientConfig
from cds_service.cdshooks.registry import HOOKS
from cds_service.cdshooks.requests import read_request
from cds_service.cdshooks.schemas import load_schema, schema_of
from cds_service.clinical.advice import Draft, row_name
from cds_service.clinical.bands import doubt
from cds_service.clinical.course import Interval
from cds_service.clinical.decide import SEVERITY, Decision, decide
from cds_service.clinical.decide_orders import decide_orders
from cds_service.clinical.dismissals import LINE, Remaining, evidence_of, may_be_suppressed, suppress
from cds_service.clinical.findings import NAMES, Assessment, assess
from cds_service.clinical.record import (
    Allergy,
    Ignored,
    LabResult,
    Medication,
    OpenOrder,
    Order,
    OrderedPhase,
    Patient,
    PatientRecord,
    Problem,
)
from cds_service.clinical.tables import Analyte, Choice, Limits, Pathway, Row, Unit, convert, normalise_unit, to_base
from cds_service.content.content import Content, load_content
from cds_service.content.files import cards_folder
from cds_service.evaluate import CallTime, Evaluation, evaluate
from cds_service.examples.fixture_patients import read_patient, request_bytes
from cds_service.examples.vignette_fhir import ENCODER, PATIENT, hook_request
from cds_service.examples.vignettes import Recollection, Vignette, overlay_folder, read_vignette, shipped_vignettes
from cds_service.export.expected import Expected
from cds_service.export.library import PathwayLibrary
from cds_service.export.package import definitions as exported_definitions
from cds_service.export.package import libraries as exported_libraries
from cds_service.export.package import write as export_content
from cds_service.export.vignettes import judged as judged_vignette
from cds_service.export.vignettes import record_of
from cds_service.fhir.drafts import build_drafts
from cds_service.fhir.orders import read_drafted
from cds_service.fhir.reading import ReadFor
from cds_service.settings import Settings

__all__ = [
    "ENCODER",
    "HOOKS",
    "LINE",
    "NAMES",
    "PATIENT",
    "SEVERITY",
    "Allergy",
    "Analyte",
    "Assessment",
    "CallTime",
    "Choice",
    "ClientConfig",
    "Content",
    "Decision",
    "Draft",
    "Evaluation",
    "Expected",
    "Ignored",
    "Interval",
    "LabResult",
    "Limits",
    "Medication",
    "OpenOrder",
    "Order",
    "OrderedPhase",
    "Pathway",
    "PathwayLibrary",
    "Patient",
    "PatientRecord",
    "Problem",
    "ReadFor",
    "Recollection",
    "Remaining",
    "Row",
    "Settings",
    "Unit",
    "Vignette",
    "assess",
    "build_drafts",
    "cards_folder",
    "client_config",
    "convert",
    "create_app",
    "decide",
    "decide_orders",
    "doubt",
    "evaluate",
    "evidence_of",
    "export_content",
    "exported_definitions",
    "exported_libraries",
    "hook_request",
    "judged_vignette",
    "load_content",
    "load_schema",
    "may_be_suppressed",
    "normalise_unit",
    "overlay_folder",
    "read_drafted",
    "read_patient",
    "read_request",
    "read_vignette",
    "record_of",
    "request_bytes",
    "row_name",
    "schema_of",
    "shipped_vignettes",
    "suppress",
    "to_base",
]
