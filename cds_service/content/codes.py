"""From a code in a resource to the concepts it stands for, however the record spells the code system.

One table per system, keyed by the code without what writers leave out (the dot of ICD, the hyphens of an NDC). The
most specific row decides: an exact code before a prefix, a longer prefix before a shorter one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
ICD_10_CM = "http://hl7.org/fhir/sid/icd-10-cm"
ICD_10 = "http://hl7.org/fhir/sid/icd-10"
ICD_9_CM = "http://hl7.org/fhir/sid/icd-9-cm"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
ATC = "http://www.whocc.no/atc"
NDC = "http://hl7.org/fhir/sid/ndc"
CTV3 = "http://read.info/ctv3"
READ_V2 = "http://read.info/readv2"
READ = (CTV3, READ_V2)
OPCS = "OPCS-4"  # no address for it was found in any published guide: a system that names it is meant
ICD_10_PCS = "http://www.cms.gov/Medicare/Coding/ICD10"
HCPCS = "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
ICD = (ICD_10_CM, ICD_10, ICD_9_CM)
ROUTE_CODES = "http://terminology.hl7.org/CodeSystem/v3-RouteOfAdministration"
DIETS = "http://terminology.hl7.org/CodeSystem/diet"
OTHERS = (
    ROUTE_CODES,
    DIETS,
    "http://standardterms.edqm.eu",  # routes of administration in Europe
    "http://terminology.hl7.org/CodeSystem/v2-0487",  # specimen type
    "http://terminology.hl7.org/CodeSystem/v2-0136",  # yes and no
    "http://terminology.hl7.org/CodeSystem/v3-ActCode",
)
KNOWN_SYSTEMS = (LOINC, SNOMED, *ICD, RXNORM, ATC, NDC, *READ, OPCS, ICD_10_PCS, HCPCS, *OTHERS)
# Most codes of one edition mean the same in the other.
OTHER_EDITION = {ICD_10: ICD_10_CM, ICD_10_CM: ICD_10, CTV3: READ_V2, READ_V2: CTV3}
DISPLAYABLE = (ICD_10_CM, ICD_10)  # written with a dot after the third character; ICD-9 E codes have theirs later

BY_OID = {
    "2.16.840.1.113883.6.1": LOINC,
    "2.16.840.1.113883.6.96": SNOMED,
    "2.16.840.1.113883.6.90": ICD_10_CM,
    "2.16.840.1.113883.6.3": ICD_10,
    "2.16.840.1.113883.6.103": ICD_9_CM,
    "2.16.840.1.113883.6.88": RXNORM,
    "2.16.840.1.113883.6.69": NDC,
    "2.16.840.1.113883.6.73": ATC,
    "2.16.840.1.113883.5.112": ROUTE_CODES,
}
SPELLINGS = {  # without scheme, "www." and trailing slash, in lower case
    "dmd.nhs.uk": SNOMED,  # dm+d identifiers are SNOMED CT identifiers
    "nlm.nih.gov/research/umls/rxnorm": RXNORM,
    "whocc.no/atc": ATC,
    "whocc.no/atc_ddd_index": ATC,
    "read.info/readctv3": CTV3,
    "cms.gov/medicare/coding/icd10": ICD_10_PCS,
    "cms.gov/medicare/coding/hcpcsreleasecodesets": HCPCS,
    "fhir.de/codesystem/bfarm/icd-10-gm": ICD_10,
    "fhir.de/codesystem/bfarm/atc": ATC,
}
LOCAL_NAME = re.compile(r"(?<![a-z])(loinc|snomed|rxnorm|ndc|atc|icd|opcs)(?![a-z])")  # in the name of a local copy
LOCAL_ICD_9 = re.compile(r"icd[^a-z0-9]*9")
FAMILIARS = {"loinc": LOINC, "snomed": SNOMED, "rxnorm": RXNORM, "ndc": NDC, "atc": ATC, "opcs": OPCS}
SHORTEST_PREFIX = 3
UNLESS_WORDS = "unless-words"  # the use of a code too wide by itself: the words beside it come first
LONGEST_SYSTEM = 200


@dataclass(frozen=True, slots=True)
class CodeUse:
    """A concept that a code stands for (the name of its value set), and how: "mass", "multivitamin", "" ..."""

    concept: str
    use: str


class Line(Protocol):
    """What `Codes` needs of a value set's row."""

    @property
    def concept(self) -> str: ...
    @property
    def system(self) -> str: ...
    @property
    def code(self) -> str: ...
    @property
    def use(self) -> str: ...


class Codes:
    """All value sets, compiled. Read-only after it is made, and so shared by all threads."""

    __slots__ = ("_exact", "_prefixes", "_systems")

    def __init__(self, rows: Iterable[Line]):
        uses: dict[tuple[str, str], CodeUse] = {}
        shared: dict[tuple[CodeUse, ...], tuple[CodeUse, ...]] = {}
        self._exact: dict[str, dict[str, tuple[CodeUse, ...]]] = {system: {} for system in KNOWN_SYSTEMS}
        self._prefixes: dict[str, dict[str, tuple[CodeUse, ...]]] = {system: {} for system in (*ICD, ATC)}
        self._systems = {system: system for system in KNOWN_SYSTEMS}
        for row in rows:
            use = uses.setdefault((row.concept, row.use), CodeUse(row.concept, row.use))
            self._systems.setdefault(row.system, row.system)  # a site's own
            table = (self._prefixes if row.use == "prefix" else self._exact).setdefault(row.system, {})
            code = bare(row.system, row.code)
            found = (*table.get(code, ()), use)
            table[code] = shared.setdefault(found, found)

    def find(self, system: str | None, code: str | None) -> tuple[CodeUse, ...]:
        """What the code stands for; () if it is none of ours, or the system is unknown."""
        if not system or not code:
            return ()
        known = self._systems.get(system) or canonical_system(system[:LONGEST_SYSTEM])
        if not known:
            return ()
        return self._exact[known].get(code) or self._find_spelled(known, bare(known, code))

    def _find_spelled(self, system: str, code: str) -> tuple[CodeUse, ...]:
        """Exact, then by ever shorter prefix; a code of ICD-10 or Read also in the other edition, where its own has no
        row: senders mix them."""
        found = self._exact[system].get(code) or self._by_prefix(system, code)
        other = OTHER_EDITION.get(system)
        if found or other is None:
            return found
        return self._exact[other].get(code) or self._by_prefix(other, code)

    def _by_prefix(self, system: str, code: str) -> tuple[CodeUse, ...]:
        prefixes = self._prefixes.get(system)
        if prefixes:
            for length in range(len(code), SHORTEST_PREFIX - 1, -1):
                if found := prefixes.get(code[:length]):
                    return found
        return ()


def bare(system: str, code: str) -> str:
    """A code without what writers add or leave out: the dot and case of ICD and OPCS-4, the X with which hospitals fill
    a short ICD-10 code (K30X), the hyphens of an NDC, Read's padding."""
    code = code.strip()
    if system in (*ICD, ATC, OPCS):
        plain = code.replace(".", "").upper()
        return plain[:3] if system in DISPLAYABLE and len(plain) == 4 and plain[3] == "X" else plain
    if system == NDC:
        return eleven_digits(code)
    if system in READ:
        return (code[:5] if len(code) == 7 else code).rstrip(".")
    return code


def eleven_digits(code: str) -> str:
    """An NDC in the eleven digits of billing: each of its three parts filled with zeros on the left."""
    parts = code.split("-")
    if len(parts) == 3:
        return parts[0].zfill(5) + parts[1].zfill(4) + parts[2].zfill(2)
    return code.replace("-", "")


def name_of(system: str, code: str) -> str:
    """A code as we name it, "system|code", however the record spells its system."""
    known = canonical_system(system[:LONGEST_SYSTEM]) or system
    return f"{known}|{bare(known, code)}"


@lru_cache(maxsize=512)
def canonical_system(system: str) -> str:
    """The known code system that a URL, OID or local name means, or "". Bounded: the caller is not trusted."""
    text = system.strip().lower()
    if text in KNOWN_SYSTEMS:
        return text
    oid = text.removeprefix("urn:oid:")
    if oid in BY_OID:
        return BY_OID[oid]
    name = text.partition("|")[0].removeprefix("https://").removeprefix("http://").removeprefix("www.").rstrip("/")
    for known in KNOWN_SYSTEMS:
        if name == known.removeprefix("http://").removeprefix("www.").lower():
            return known
    if name.startswith("snomed.info/sct"):  # an edition or version of it
        return SNOMED
    return SPELLINGS.get(name) or local_copy(name)


def local_copy(name: str) -> str:
    """A hospital's own system that carries a known one's codes says so in its name: ".../mimic-diagnosis-icd10"."""
    match = LOCAL_NAME.search(name)
    if not match:
        return ""
    if match[1] != "icd":
        return FAMILIARS[match[1]]
    return ICD_9_CM if LOCAL_ICD_9.search(name) else ICD_10_CM if "cm" in name[match.end() :] else ICD_10
