"""Codes that stood for more, or for something else, than their list said (terminology, part 2, B.0)."""

from __future__ import annotations

from typing import Any

import pytest

from cds_service.content.codes import ICD_10, ICD_10_CM, SNOMED
from cds_service.content.valuesets import value_set
from cds_service.examples.vignettes import DEFAULT_DAY, Vignette
from tests.book import content, play

CASES = {
    "sleeve gastrectomy with duodenal switch": (SNOMED, "427980007", {"problem-bariatric-specialist"}),
    "laparoscopic sleeve gastrectomy": (SNOMED, "427074001", {"problem-bariatric"}),
    "a B vitamin, which may be folate": (ICD_10_CM, "E53.8", set()),
    "the same, of the WHO": (ICD_10, "E53.8", set()),
    "a B vitamin in ICD-9": ("http://hl7.org/fhir/sid/icd-9-cm", "266.2", set()),
    "any disorder of a nerve": (SNOMED, "42658009", set()),
    "alcohol dependence": (ICD_10_CM, "F10.20", {"problem-alcohol"}),
    "alcohol dependence in remission": (ICD_10_CM, "F10.21", {"problem-look-alike"}),
    "polyneuropathy of diabetes": (ICD_10_CM, "E11.42", {"problem-neuropathy-other-cause"}),
    "polyneuropathy of diabetes, of the WHO": (ICD_10, "G63.2", {"problem-neuropathy-other-cause"}),
    "autonomic neuropathy of diabetes": (ICD_10_CM, "E11.43", {"problem-look-alike"}),
    "transverse myelopathy": (SNOMED, "16631009", {"problem-myelopathy-other-cause"}),
    "dementia": (SNOMED, "52448006", {"problem-dementia"}),
    "B12 level, Read v2": ("http://read.info/readv2", "44Lc.", {"lab-b12"}),
    "injections started, which is no dose": (SNOMED, "170821007", {"problem-b12-injections-started"}),
    "an injection given": (SNOMED, "308752009", {"problem-b12-injections-recorded", "order-b12-injection"}),
    "a referral for gastroscopy": (SNOMED, "306730008", {"problem-look-alike"}),
}


@pytest.mark.parametrize(("system", "code", "concepts"), CASES.values(), ids=CASES)
def test_the_code_stands_for_what_it_means(system: str, code: str, concepts: set[str]):
    assert {use.concept for use in content().codes.find(system, code)} == concepts


WIDE = {
    "gastric bypass in its words": ("Laparoscopic Roux-en-Y gastric bypass", {"bariatric"}),
    "for an ulcer": ("Roux-en-Y gastrojejunostomy for duodenal ulcer", {"postsurgical-malabsorption"}),
    "without words": ("", {"postsurgical-malabsorption"}),
}


@pytest.mark.parametrize(("words", "concepts"), WIDE.values(), ids=WIDE)
def test_a_gastrojejunostomy_is_bariatric_only_where_the_words_say_so(words: str, concepts: set[str]):
    problem = {"concept": "postsurgical-malabsorption", "as": "procedure", "days_ago": 900}
    told = {"patient": {"sex": "female", "born": DEFAULT_DAY.replace(year=1970)}, "problem": [problem]}
    vignette = Vignette("wide", "A wide code", DEFAULT_DAY, "uk-ng239", told, {})
    code = {"coding": [{"system": SNOMED, "code": "173747005"}], **({"text": words} if words else {})}

    def recode(request: dict[str, Any]) -> None:
        request["prefetch"]["procedures"]["entry"][0]["resource"]["code"] = code

    read = play(vignette, change=recode)
    assert {problem.concept for problem in read.record.problems} == concepts


def test_a_code_seen_once_says_so():
    lines = value_set(content(), "problem-bariatric-specialist")
    assert lines is not None
    assert all(line.source.endswith(("[1]", "[2]")) for line in lines.lines)
    assert any(line.source.endswith("[1]") for line in lines.lines)
