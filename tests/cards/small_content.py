"""A small complete content for the loader's tests: each test changes one thing and reads what the loader says."""

from __future__ import annotations

from pathlib import Path

from cds_service.knowledge.content import Content, load_content
from cds_service.knowledge.faults import ContentError
from cds_service.knowledge.prefetch import KEYS
from cds_service.knowledge.vocabulary import Vocabulary

ORIGIN = 'source = "guide"\nevidence = "secondary"\nchecked = 2026-11-21\n'
VOCABULARY = Vocabulary(
    findings=frozenset(("b12_deficient", "b12_grey", "neuro", "symptoms")),
    longest={"b12": ">=1234567.89 pmol/L", "b12_date": "30 Sep 2026", "symptoms": "x" * 100},
    thresholds={"b12-deficient-mass": "ng/L", "b12-grey-mass": "ng/L"},
    problem_groups=frozenset(("symptom", "neuro", "pregnancy", "breastfeeding", "lifelong")),
    medicine_groups=frozenset(("cobalamin", "cyanocobalamin")),
)
FILES = {
    "content.toml": """version = "1.2.3"
title = "Small content"
intended_use = "For tests."
owners = []
approver = ""
review_by = 2027-05-21
""",
    "sources.toml": '[guide]\ntitle = "A guide"\nurl = "https://guide.example/"\npublished = "2024"\n',
    "messages.toml": 'not-recorded = "not recorded"\naccepted-earlier = "{order} on {date}"\n'
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
PATHWAY = {
    "pathway.toml": f"""id = "uk-small"
title = "A small pathway"
version = "0.1"
language = "en-GB"
card_source = "guide"
based_on = "A guide"
[fixed.incomplete]
indicator = "info"
summary = "Something could not be seen"
detail = "What could not be seen."
topic = "B12Incomplete"
{ORIGIN}
[fixed.unavailable]
indicator = "info"
summary = "B12 cannot be judged"
detail = "The results could not be had."
topic = "B12Unavailable"
{ORIGIN}
[fixed.dismissed]
indicator = "info"
summary = "Dismissed"
detail = "You dismissed it."
topic = "B12Dismissed"
{ORIGIN}
[fixed.dismissed-untreated]
indicator = "info"
summary = "Dismissed and untreated"
detail = "You dismissed it, and nothing is given."
topic = "B12DismissedUntreated"
{ORIGIN}
""",
    "thresholds.toml": f"""[[threshold]]
id = "b12-deficient-mass"
value = 180
unit = "ng/L"
step = 1
{ORIGIN}
[[threshold]]
id = "b12-grey-mass"
value = 350
unit = "ng/L"
step = 1
{ORIGIN}
""",
    "orderables.toml": f"""[[orderable]]
id = "b12-total"
title = "Vitamin B12, serum"
coding = {{ system = "http://loinc.org", code = "2132-9", display = "Cobalamin in Serum" }}
measures = ["b12"]
current_days = 90
{ORIGIN}
[[orderable]]
id = "h-pylori"
title = "Helicobacter pylori test"
measures = []
current_days = 90
{ORIGIN}
""",
    "regimens.toml": f"""[[regimen]]
id = "im"
ingredient = "hydroxocobalamin"
title = "Injections"
words = "1 mg three times a week for 2 weeks, then every 2 to 3 months"
text = "Hydroxocobalamin 1 mg injection"
codings = [{{ system = "http://snomed.info/sct", code = "409258004", display = "Hydroxocobalamin" }}]
{ORIGIN}
[[regimen.phase]]
id = "loading"
dose = 1
dose_unit = "mg"
route = "im"
frequency = 3
period = 1
period_unit = "wk"
count = 6
duration = [2, "wk"]
words = "1 mg into a muscle three times a week for 2 weeks"
[[regimen.phase]]
id = "maintenance"
dose = 1
dose_unit = "mg"
route = "im"
frequency = 1
period = 2
period_high = 3
period_unit = "mo"
words = "then 1 mg every 2 to 3 months"
[[regimen]]
id = "oral"
ingredient = "cyanocobalamin"
title = "Tablets"
words = "50 to 150 micrograms a day between meals"
text = "Cyanocobalamin tablets"
{ORIGIN}
[[regimen.phase]]
id = "treatment"
dose = 50
dose_high = 150
dose_unit = "microgram"
route = "oral"
frequency = 1
period = 1
period_unit = "d"
words = "50 to 150 micrograms a day between meals"
""",
    "interpret.toml": f"""[[row]]
id = "deficient"
label = "confirmed"
when = ["b12_deficient"]
tests = ["repeat", {{ id = "h-pylori", unless = ["neuro"] }}]
treat = "now"
treat_when = {{ consider = ["b12_grey", "neuro"] }}
review = "P3M"
indicator = "warning"
raise = {{ critical = ["neuro"] }}
summary = "B12 {{b12}} on {{b12_date}} meets the threshold"
detail = "What to do about {{b12}}."
topic = "B12Deficient"
{ORIGIN}
[[row]]
id = "grey"
label = "indeterminate"
when = ["b12_grey"]
treat = "after"
indicator = "info"
no_card = ["symptoms"]
summary = "B12 {{b12}} is uncertain"
detail = "Consider a further test."
topic = "B12Grey"
{ORIGIN}
[[row]]
id = "untested"
label = "not-tested"
indicator = "none"
{ORIGIN}
""",
    "treat.toml": f"""[[row]]
id = "neuro"
when = ["neuro"]
regimens = ["im"]
{ORIGIN}
[[row]]
id = "unknown"
regimens = ["oral", {{ id = "im", when = ["symptoms"] }}]
{ORIGIN}
""",
    "safety.toml": f"""[[row]]
id = "S1"
when = ["neuro"]
tests = ["b12-total"]
regimens = ["im"]
indicator = "critical"
speaks_alone = true
summary = "Start before the result"
detail = "Do not wait."
topic = "B12Start"
{ORIGIN}
""",
    "orders.toml": "",
    "notes.toml": f"""[[row]]
id = "undated"
on = ["treat", "interpret/deficient"]
when = ["symptoms"]
detail = "Recorded: {{symptoms}}."
{ORIGIN}
""",
}


class SmallContent:
    """The small content in a folder, to be changed file by file; `site` is a folder laid over it, if a test asks."""

    def __init__(self, folder: Path, site: Path):
        self.folder, self._site = folder, site
        for name, text in FILES.items():
            self.write(name, text)
        for name, text in PATHWAY.items():
            self.write(f"pathways/uk-small/{name}", text)

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def change(self, name: str, old: str, new: str) -> None:
        """Replace the first `old` in a file; it must be there. A pathway's file needs no folder in its name."""
        path = self.folder / (f"pathways/uk-small/{name}" if name in PATHWAY else name)
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in {name}"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    def site(self, name: str, text: str) -> None:
        """Write a file of the site's own folder."""
        path = self._site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def load(self) -> Content:
        return load_content(self.folder, self._site if self._site.exists() else None, VOCABULARY)

    def faults(self) -> tuple[str, ...]:
        """Every fault that the loader names; none if it loads."""
        try:
            self.load()
        except ContentError as error:
            return error.faults
        return ()

    def fault(self) -> str:
        """The one fault."""
        faults = self.faults()
        assert len(faults) == 1, faults
        return faults[0]
