"""Names and units that are like ours: near enough for a line that a person confirms, and no nearer."""

from __future__ import annotations

import pytest

from cds_service.doctor.overlay import alike
from cds_service.doctor.survey import suspected
from tests.doctor.examining import service

ANALYTES = service().pathway.analytes
WORDS = service().content.words


@pytest.mark.parametrize(
    ("text", "analyte", "unit"),
    [
        ("nanograms per litre", "b12", "ng/L"),
        ("NG/LTR.", "b12", "ng/L"),
        ("pg / ml (serum)", "b12", "pg/mL"),
        ("microgrammes/l", "b12", "ug/L"),
        ("pmoles/L", "b12", "pmol/L"),
        ("picomol per liter", "b12", "pmol/L"),
        ("gms/litre", "haemoglobin", "g/L"),
        ("x 10^9/l", "platelets", "10*9/L"),
        ("10⁹/L", "neutrophils", "10*9/L"),
        ("widgets", "b12", None),
        ("mg/L", "b12", None),
        ("", "b12", None),
        ("g/L", "b12", None),
        ("%", "neutrophils", None),
    ],
)
def test_a_unit_is_alike_only_if_it_is_the_same_unit_spelt_otherwise(text, analyte, unit):
    found = alike(text, ANALYTES[analyte])
    assert (found.spelling if found else None) == unit


@pytest.mark.parametrize(
    ("name", "analyte"),
    [
        ("Vitamin B12", "b12"),
        ("Serum vitamin B12 level", "b12"),
        ("Vitamin B12 binding capacity", ""),
        ("Folate and vitamin B12", ""),
        ("Active B12", "active-b12"),
        ("Methylmalonic acid, urine", ""),
        ("MMA/creatinine ratio", ""),
        ("Hemoglobin [Mass/volume] in Blood", "haemoglobin"),
        ("Hgb", "haemoglobin"),
        ("Haemoglobin A1c", ""),
        ("Mean corpuscular haemoglobin", ""),
        ("Mean cell haemoglobin concentration", ""),
        ("Reticulocyte haemoglobin content", ""),
        ("Fetal haemoglobin", ""),
        ("Mean platelet volume", ""),
        ("Platelet count", "platelets"),
        ("Creatinine clearance", ""),
        ("Urine creatinine", ""),
        ("Creatine kinase", ""),
        ("Creatinine", "creatinine"),
        ("Potassium (urine)", ""),
        ("Red cell folate", "red-cell-folate"),
        ("Serum folate", "folate"),
        ("Glomerular filtration rate", "egfr"),
        ("Transferrin saturation", ""),
        ("Sodium", ""),
        ("Hgb Ur Ql Strip", ""),
        ("Hemoglobin [Presence] in Urine by Test strip", ""),
        ("Hgb Fld", ""),
        ("Potassium hydroxide preparation", ""),
        ("KOH prep, potassium hydroxide", ""),
        ("Hgb Bld-mCnc", "haemoglobin"),
        ("Intrinsic factor antibody screen", "intrinsic-factor-antibody"),
    ],
)
def test_a_name_suggests_one_test_of_ours_or_none(name, analyte):
    assert suspected(name, WORDS) == analyte
