"""The names that the content may use because the program knows them: findings, placeholders, thresholds, groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cds_service.clinical.findings import NAMES
from cds_service.clinical.limits import OPTIONAL, REQUIRED, RESTS_ON
from cds_service.clinical.wording import LONGEST

ROUTES = ("im", "sc", "iv", "injection", "oral", "sublingual", "nasal", "other")
TABLES = ("interpret", "treat", "safety", "orders", "notes")
PSEUDO_TESTS = ("repeat", "first-test")  # resolved by clinical/decide.py to an orderable that suits the patient
PROBLEM_GROUPS = frozenset(
    (
        "symptom", "neuro", "neuropathy", "gait", "sacd", "cord-recent", "risk", "must-im", "surgical", "bariatric",
        "malabsorption", "cause-known", "diet", "nitrous", "pregnancy", "pregnancy-planned", "breastfeeding", "leber",
        "dialysis", "lifelong", "recognised-cause", "high-risk",
    )
)  # fmt: skip
MEDICINE_GROUPS = frozenset(
    (
        "box2", "metformin", "ppi", "h2ra", "cobalamin", "cyanocobalamin", "folic", "folinic", "nitrous", "pill",
        "anticoagulant", "chloramphenicol", "methotrexate", "recognised-cause",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What rows may name. A test may pass a smaller one; the service uses `clinical_vocabulary()`."""

    findings: frozenset[str]
    longest: Mapping[str, str]  # placeholder -> the longest value it can take
    thresholds: Mapping[str, str]  # threshold that every pathway must state -> its unit
    problem_groups: frozenset[str] = PROBLEM_GROUPS  # each must have at least one member: an empty one is never true
    medicine_groups: frozenset[str] = MEDICINE_GROUPS
    optional: Mapping[str, str] = field(default_factory=dict)  # threshold that a pathway may state -> its unit
    rests_on: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # finding -> optional thresholds it needs


def clinical_vocabulary() -> Vocabulary:
    """The names that `cds_service.clinical` reads and makes."""
    return Vocabulary(findings=NAMES, longest=LONGEST, thresholds=REQUIRED, optional=OPTIONAL, rests_on=RESTS_ON)
