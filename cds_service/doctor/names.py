"""From the name that a laboratory gives a test to the analyte it may be: for a person to confirm, never to classify.

The content's own words come first. Where it has none for an analyte, since the reader classifies by code only, the
names here stand in. What is measured in urine, as a ratio, or of something larger that has the name in it is left out.
"""

from __future__ import annotations

import re

from ..content.words import Words
from ..fhir.reading.labs import B12, NOT_B12

LONGEST = 300
NAMES = {
    "red-cell-folate": r"\b(red (blood )?cells?|rbc|erythrocytes?|whole blood)\b.{0,12}folate|folate.{0,12}\b(red|rbc)",
    "folate": r"\bfolate\b|\bfolic acid\b|\bfoliumzuur\b|\bfols[aä]ure\b",
    "haemoglobin": r"\bha?emoglobine?\b|\bhgb\b|\bhb\b",
    "neutrophils": r"\bneutrophils?\b|\bneuts?\b",
    "platelets": r"\bplatelets?\b|\bplts?\b|\bthrombocyt",
    "reticulocytes": r"\breticulocyt|\bretics?\b",
    "ferritin": r"\bferritine?\b",
    "creatinine": r"\bcreatinine?\b|\bkreatinine?\b",
    "egfr": r"\be-?gfr\b|glomerular filtration",
    "potassium": r"\bpotassium\b|\bkalium\b",
    "magnesium": r"\bmagnesium\b",
}
PATTERNS = {analyte: re.compile(pattern) for analyte, pattern in NAMES.items()}
ANOTHER = re.compile(  # another specimen, another quantity, or a test that has the name of ours in its own
    r"\burin|\bcsf\b|cerebrospinal|\bfluid\b|stool|fa?eces|fa?ecal|sweat|saliva|\bcord\b|dried blood|\b24 ?h|amniotic|"
    r"\bratio\b|\bindex\b|clearance|excretion|excreted|absorption|binding|saturat|intake|\bdose\b|challenge|post.?load|"
    r"\ba1c|glycated|glycosyl|\bfree\b|f[oe]?etal|carboxy|oxyha?em|methha?em|electrophor|variant|\bhb ?[acefhs]\b|"
    r"mean (cell|corpuscular) ha?emoglobin|corpuscular ha?emoglobin|\bmchc?\b|mean platelet|\bmpv\b|\bpdw\b|"
    r"platelet (antibod|aggreg|function|distribution|volume)|width|kinase|chloride|citrate|"
    r"ha?emoglobin content|reticulocyte ha?emoglobin|immature|antibod(y|ies) to platelet|comment|request|not done"
)


def suspected(text: str, words: Words) -> str:
    """The one analyte that a name suggests, or ""."""
    plain = text[:LONGEST].casefold()
    if ANOTHER.search(plain):
        return ""
    names = words.find(text[:LONGEST], "analyte") or by_pattern(plain)
    if len(names) != 1 or (names[0] == B12 and NOT_B12.search(plain)):
        return ""
    return names[0]


def by_pattern(plain: str) -> tuple[str, ...]:
    """Analytes by the names above; what is in the red cells is not also in the serum."""
    found = [analyte for analyte, pattern in PATTERNS.items() if pattern.search(plain)]
    return tuple(found[:1] if found[:1] == ["red-cell-folate"] else found)
