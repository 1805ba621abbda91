"""The files of the small content's pathway, as text."""

from __future__ import annotations

from tests.cards.small_files import ORIGIN

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
[fixed.unjudged]
indicator = "info"
summary = "A result could not be judged"
detail = "It could not be judged."
topic = "B12Unjudged"
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
[[threshold]]
id = "result-current"
value = 90
unit = "days"
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
drafted_period = 3
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
drafted_dose = 100
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
part = "context"
when = ["symptoms"]
detail = "Recorded: {{symptoms}}."
{ORIGIN}
""",
}
