"""The prefetch templates that we publish: what a client should send, derived from the value sets.

Restricted subset of FHIR search (checklist items 38 to 48): an instance read, searches by patient, `code=` for
Observations only. Codes are bare, because with their systems the lists would be three times as long; the reader
checks the system. A template stays below 1,500 percent-encoded characters; what does not fit is left out in a stated
order and named in the content check.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import get_args
from urllib.parse import quote

from cds_service.clinical.tables import Analyte, Orderable

from .codes import ATC, HCPCS, ICD, ICD_10_PCS, LOINC, NDC, OPCS, RXNORM
from .shapes import LabKey
from .valuesets import CodeRow

LONGEST_TEMPLATE = 1500
LONGEST_ID = 64  # of a FHIR id, in place of {{context.patientId}}
PATIENT = "{{context.patientId}}"
LAB_KEYS = get_args(LabKey)  # each analyte says in analytes.toml which of them asks for it
BY_PATIENT = {
    "conditions": "Condition",
    "medications": "MedicationStatement",
    "medicationRequests": "MedicationRequest",
    "administrations": "MedicationAdministration",
    "dispenses": "MedicationDispense",
    "orders": "ServiceRequest",
    "procedures": "Procedure",
    "allergies": "AllergyIntolerance",
    "family": "FamilyMemberHistory",
}
BOOKINGS = {"Appointment": "appointments", "Task": "tasks"}  # asked for in the full set, where the site says so
KEYS = ("patient", *LAB_KEYS, "status", *BY_PATIENT)
SETS = {"full": KEYS, "minimal": ("patient", "b12", "bloodCount", "conditions", "medicationRequests")}
NEVER_OBSERVED = (*ICD, ICD_10_PCS, OPCS, HCPCS, RXNORM, ATC, NDC)  # of diagnoses, operations and medicines
STATES = ("pregnancy", "breastfeeding")  # asked for first in `status`
DENIALS = ("not-pregnant", "not-breastfeeding")
FURTHER_RESOURCES = ("Medication",)  # read where an order only refers to it: many in one search


class Templates:
    """The templates in `sets`, made at once; `left_out` says, key by key, which codes did not fit."""

    def __init__(
        self,
        rows: Iterable[CodeRow],
        groups: Mapping[str, frozenset[str]],
        orderables: Iterable[Orderable],
        analytes: Iterable[Analyte],
        bookings: Iterable[str] = (),
    ):
        self._bookings = tuple(dict.fromkeys(bookings))
        self._analytes = tuple(analytes)
        self.left_out: dict[str, tuple[str, ...]] = {}
        self._codes: dict[str, list[CodeRow]] = {}
        for row in sorted(rows, key=lambda row: not row.local):  # a site's own codes first: they are the likeliest
            if row.concept.startswith(("lab-", "problem-", "status-", "order-")):
                self._codes.setdefault(row.concept, []).append(row)
        self._groups = groups
        self._panels: dict[str, set[str]] = {}
        for orderable in orderables:
            self._panels.setdefault(orderable.id, set()).update(orderable.measures)
        self.sets = self._sets()

    def _sets(self) -> dict[str, dict[str, str]]:
        """Set name -> key -> template, in the order in which they are published."""
        templates = {"patient": f"Patient/{PATIENT}"}
        for key in LAB_KEYS:
            asked = [analyte.id for analyte in self._analytes if analyte.prefetch == key]
            templates[key] = self._observations(key, self._lab_codes(asked))
        templates["status"] = self._observations("status", self._status_codes())
        templates |= {key: f"{resource}?patient={PATIENT}" for key, resource in BY_PATIENT.items()}
        sets = {name: {key: templates[key] for key in keys if templates[key]} for name, keys in SETS.items()}
        sets["full"] |= {BOOKINGS[each]: f"{each}?patient={PATIENT}" for each in self._bookings}
        return sets

    def _lab_codes(self, analytes: Sequence[str]) -> list[str]:
        """By rank: the first code of each analyte, then the second of each ...; panels last."""
        panels = [f"order-{name}" for name, measured in self._panels.items() if measured & set(analytes)]
        return self._by_rank([f"lab-{analyte}" for analyte in analytes]) + self._by_rank(panels, only=LOINC)

    def _status_codes(self) -> list[str]:
        """Pregnancy and breastfeeding, then neurological symptoms by rank, then the other symptoms by rank."""
        neuro = self._members("neuro", "neuropathy", "gait", "sacd")
        others = [concept for concept in self._members("symptom") if concept not in neuro]
        codes = self._by_rank([f"status-{name}" for name in (*STATES, *DENIALS)] + self._members(*STATES))
        return codes + self._by_rank(neuro) + self._by_rank(others)

    def _members(self, *groups: str) -> list[str]:
        """The value sets of the problems in these groups, in a stable order."""
        return sorted({f"problem-{concept}" for group in groups for concept in self._groups.get(group, ())})

    def _by_rank(self, concepts: Sequence[str], only: str = "") -> list[str]:
        """The first code of each value set, then the second of each ...: the order in which codes are left out."""
        lists = [self._observable(name, only) for name in concepts]
        depth = max((len(codes) for codes in lists), default=0)
        return [codes[rank] for rank in range(depth) for codes in lists if rank < len(codes)]

    def _observable(self, name: str, only: str) -> list[str]:
        """The codes of a value set that Observation.code can be (LOINC's LA codes are answers); of one system only,
        if it is named."""
        rows = [row for row in self._codes.get(name, ()) if row.system not in NEVER_OBSERVED and row.code[:2] != "LA"]
        return [row.code for row in rows if not only or row.system == only]

    def _observations(self, key: str, codes: Iterable[str]) -> str:
        """A search for the newest of these codes; the last ones are left out if they do not fit."""
        wanted = list(dict.fromkeys(codes))
        kept = list(wanted)
        while kept and encoded_length(search(kept)) > LONGEST_TEMPLATE:
            kept.pop()
        if len(kept) < len(wanted):
            self.left_out[key] = tuple(wanted[len(kept) :])
        return search(kept) if kept else ""


def search(codes: Sequence[str]) -> str:
    """`_count` is a page size, not a limit: the newest is chosen by the reader, not by the server's order."""
    written = ",".join(quote(code, safe=".-_~") for code in codes)
    return f"Observation?patient={PATIENT}&code={written}&_sort=-date&_count=200"


RECALLED = ("coded", "must-im", "bariatric")  # groups of problems whose patients may have to be recalled
ANTIBODIES = "lab-intrinsic-factor-antibody"  # a positive one is such a cause
COBALAMINS = ("hydroxocobalamin", "cyanocobalamin", "mecobalamin", "cobamamide")
MEDICINES = ("MedicationRequest", "MedicationAdministration", "MedicationStatement", "MedicationDispense")


def recall_queries(rows: Iterable[CodeRow], groups: Mapping[str, frozenset[str]]) -> tuple[str, ...]:
    """The searches over all patients of a server that find who may have to be recalled: with a coded deficiency, a
    coded cause that needs B12 for life, or B12 among the medicines. Wider than it must be: about each it is decided."""
    problems = {f"problem-{concept}" for group in RECALLED for concept in groups.get(group, ())}
    medicines = {f"medicine-{name}" for name in COBALAMINS}
    listed = list(rows)
    coded = [code for row in listed if row.concept in problems for code in spelled(row)]
    named = [code for row in listed if row.concept in medicines for code in spelled(row)]
    antibodies = [row.code for row in listed if row.concept == ANTIBODIES]
    searches = [(each, "code", coded) for each in ("Condition", "Procedure")] + [("Observation", "code", antibodies)]
    searches += [(each, name, named) for each in MEDICINES for name in ("code", "medication.code")]
    return tuple(f"{kind}?{name}={part}&_count=200" for kind, name, codes in searches for part in code_lists(codes))


def spelled(row: CodeRow) -> Iterator[str]:
    """A code as records spell it. A search finds no code by its beginning: of ICD the next digit is tried."""
    yield row.code
    if row.use == "prefix" and row.system in ICD:
        dot = "" if "." in row.code else "."
        yield from (f"{row.code}{dot}{digit}" for digit in range(10))


def code_lists(codes: Iterable[str], longest: int = LONGEST_TEMPLATE) -> Iterator[str]:
    """The codes as comma lists for a search, each no longer than so many characters."""
    part: list[str] = []
    for code in (quote(each, safe=".-_~") for each in dict.fromkeys(codes)):
        if part and len(",".join([*part, code])) > longest:
            yield ",".join(part)
            part = []
        part.append(code)
    if part:
        yield ",".join(part)


def encoded_length(template: str) -> int:
    """The length on the wire: everything percent-encoded, with the longest id in place of {{context.patientId}}."""
    return len(quote(template.replace(PATIENT, "x" * LONGEST_ID), safe="?=&/"))


def scopes(templates: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """The SMART scopes that a set needs, in the notation of version 1 and of version 2."""
    resources = dict.fromkeys(template.partition("?")[0].partition("/")[0] for template in templates.values())
    if any(resource.startswith("Medication") for resource in resources):
        resources |= dict.fromkeys(FURTHER_RESOURCES)
    return {
        "v1": tuple(f"patient/{resource}.read" for resource in resources),
        "v2": tuple(f"patient/{resource}.{v2_rights(resource)}" for resource in resources),
    }


def v2_rights(resource: str) -> str:
    """Read for what is read by its id, read and search for what is searched."""
    return "r" if resource == "Patient" else "rs"
