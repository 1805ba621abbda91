"""The files of the small content, as text: all but those of its pathway."""

from __future__ import annotations

from cds_service.content.files import cards_folder
from cds_service.content.prefetch import KEYS


def evidence_phrases() -> str:
    """The section of our own messages: what evidence is said with does not differ here."""
    text = (cards_folder() / "messages.toml").read_text(encoding="utf-8")
    return "[evidence]" + text.partition("[evidence]")[2].partition("\n[")[0] + "\n"


ORIGIN = 'source = "guide"\nevidence = "secondary"\nchecked = 2026-11-21\n'
FILES = {
    "content.toml": """version = "1.2.3"
title = "Small content"
intended_use = "For tests."
owners = []
approver = ""
review_by = 2027-05-21
""",
    "sources.toml": '[guide]\ntitle = "A guide"\nurl = "https://guide.example/"\npublished = "2024"\n',
    "messages.toml": 'not-recorded = "not recorded"\nnot-read = "not read"\nnot-read-in-full = "read in part"\n'
    + 'undated = "undated"\naccepted-earlier = "{order} on {date}"\n'
    + 'b12-begun = "begun {date}"\nb12-ordered = "ordered"\nfolate-later = "later"\n'
    + '[name]\nb12 = "B12"\nactive-b12 = "Active B12"\n[today]\nstart = "start"\n'
    + 'allergy = "allergy"\npregnant = "pregnant"\n'
    + '[date]\nday = "{day} {month} {year}"\nmonth = "{month} {year}"\n'
    + 'months = "Jan | Feb | Mar | Apr | May | Jun | Jul | Aug | Sep | Oct | Nov | Dec"\n'
    + evidence_phrases()
    + '[doubt]\nno-unit = "the result has no unit"\n[prefetch]\n'
    + "".join(f'{key} = "our words for {key}"\n' for key in KEYS),
    "plain-words.toml": """[findings]
b12_deficient = "B12 is below the limit"
b12_grey = "B12 is uncertain"
neuro = "neurological signs are recorded"
symptoms = "symptoms are recorded"
[thresholds]
b12-deficient-mass = "Deficient below"
b12-grey-mass = "Unlikely above"
""",
    "analytes.toml": f"""[b12]
display = "total B12"
prefetch = "b12"
current = "result-current"
chart = "ng/L"
mass_per_molar = 1.35537
{ORIGIN}
[[b12.unit]]
spelling = "ng/L"
family = "mass"
factor = 1
[[b12.unit]]
spelling = "pg/mL"
family = "mass"
factor = 1
accepts = ["PG/ML"]
[[b12.unit]]
spelling = "pmol/L"
family = "molar"
factor = 1
[[b12.plausible]]
family = "mass"
high = 6000
""",
    "problems.toml": """negations = ["no", "denies"]
past = ["history of"]
[fatigue]
display = "fatigue"
groups = ["symptom"]
words = ["fatigue", "tired all the time"]
[paraesthesia]
display = "paraesthesia"
groups = ["symptom", "neuro"]
words = ["paraesthesia", "pins and needles"]
[pregnancy]
display = "pregnancy"
groups = ["pregnancy"]
[breastfeeding]
display = "breastfeeding"
groups = ["breastfeeding"]
[pernicious-anaemia]
display = "pernicious anaemia"
groups = []
lifelong = true
words = ["pernicious anaemia"]
""",
    "medicines.toml": """[hydroxocobalamin]
display = "hydroxocobalamin"
groups = ["cobalamin"]
words = ["hydroxocobalamin"]
brands = ["neo cytamen"]
[cyanocobalamin]
display = "cyanocobalamin"
groups = ["cobalamin", "cyanocobalamin"]
words = ["cyanocobalamin", "vitamin b12"]
""",
    "value-sets/lab-b12.csv": """system,code,display,use,source
http://loinc.org,2132-9,Cobalamin [Mass/volume] in Serum or Plasma,mass,seen
http://loinc.org,14685-2,Cobalamin [Moles/volume] in Serum or Plasma,molar,seen
http://snomed.info/sct,271216009,Serum vitamin B12 level,either,seen
http://read.info/ctv3,42T..,B12 level,either,seen
""",
    "value-sets/problem-fatigue.csv": """system,code,display,use,source
http://snomed.info/sct,84229001,Fatigue,,seen
http://hl7.org/fhir/sid/icd-10-cm,R53,Malaise and fatigue,prefix,seen
""",
    "value-sets/problem-paraesthesia.csv": """system,code,display,use,source
http://snomed.info/sct,91019004,Paresthesia,,seen
http://hl7.org/fhir/sid/icd-10-cm,R20.2,Paresthesia of skin,,seen
""",
    "value-sets/problem-pregnancy.csv": """system,code,display,use,source
http://snomed.info/sct,77386006,Pregnant,,seen
""",
    "value-sets/problem-breastfeeding.csv": """system,code,display,use,source
http://snomed.info/sct,169750002,Breastfeeding mother,,seen
""",
    "value-sets/medicine-hydroxocobalamin.csv": """system,code,display,use,source
http://snomed.info/sct,409258004,Hydroxocobalamin,,seen
http://www.whocc.no/atc,B03BA03,hydroxocobalamin,,seen
http://www.whocc.no/atc,V03AB33,hydroxocobalamin antidote,antidote,seen
http://hl7.org/fhir/sid/ndc,0591-2888-30,hydroxocobalamin injection,,seen
""",
    "value-sets/route-im.csv": """system,code,display,use,source
http://terminology.hl7.org/CodeSystem/v3-RouteOfAdministration,IM,"Injection, intramuscular",,seen
http://snomed.info/sct,78421000,Intramuscular route,,seen
""",
    "value-sets/route-oral.csv": """system,code,display,use,source
http://snomed.info/sct,26643006,Oral route,,seen
""",
}
