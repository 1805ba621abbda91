"""The words of our concepts, as problem lists and prescriptions write them: in another order, spelled otherwise, a sign
with its finding after it, abbreviated, in another language."""

from __future__ import annotations

import pytest

from tests.book import content

PROBLEMS = {
    "Neuropathy": ("neuropathy",),
    "Neuropathy NOS": ("neuropathy",),
    "Nutritional neuropathy": ("neuropathy",),
    "Neuropathy due to vitamin B12 deficiency": ("neuropathy", "b12-deficiency"),
    "B12 deficiency neuropathy": ("b12-deficiency", "neuropathy"),
    "Alcohol-induced neuropathy": ("neuropathy-other-cause",),
    "Peripheral neuropathy due to type 2 diabetes mellitus": ("neuropathy", "neuropathy-other-cause"),
    "Uraemic neuropathy": ("neuropathy-other-cause",),
    "Ulnar neuropathy": (),
    "Diabetic autonomic neuropathy": (),
    "Neuropathy screening": (),
    "No evidence of neuropathy": (),
    "Paraesthesias in hands": ("paraesthesia",),
    "Parasthesia of feet": ("paraesthesia",),
    "Gait unsteadiness": ("gait-problem",),
    "Unsteadiness": ("gait-problem",),
    "Vibration sense absent at ankles": ("proprioception",),
    "Joint position sense impaired": ("proprioception",),
    "Proprioception reduced": ("proprioception",),
    "Romberg's test positive": ("proprioception",),
    "Positive Romberg sign": ("proprioception",),
    "Romberg negative": (),
    "Myeloneuropathy": ("myelopathy",),
    "?SACDC": ("sacd",),
    "Deficiency of vitamin B12": ("b12-deficiency",),
    "Vitamin B12 deficient": ("b12-deficiency",),
    "Serum vitamin B12 low": ("b12-deficiency",),
    "Serum B12 low normal": (),
    "Addison-Biermer anaemia": ("pernicious-anaemia",),
    "Vitamin B12 deficiency anaemia due to intrinsic factor deficiency": ("pernicious-anaemia",),
    "Gastrectomy - total": ("gastrectomy-total",),
    "Oesophagogastrectomy": ("gastrectomy",),
    "RYGB 2019": ("bariatric",),
    "OAGB 2019": ("bariatric-specialist",),
    "Veganism": ("vegan",),
    "Recreational drug use: nitrous oxide": ("nitrous-oxide",),
    "Leber hereditary optic atrophy": ("leber",),
    "Leber congenital amaurosis": (),
    "Intramuscular injection of vitamin B12": ("b12-injections-recorded",),
    "Administration of hydroxocobalamin": ("b12-injections-recorded",),
}
MEDICINES = {
    "B12 inj 1mg": ("cyanocobalamin",),
    "B12 IM": ("cyanocobalamin",),
    "Hydroxocobalamine 1 mg": ("hydroxocobalamin",),
    "Hidroxocobalamina (vitamina B12) 1 mg": ("hydroxocobalamin",),
    "Vitamine B12 1000 \u00b5g": ("cyanocobalamin",),
    "Folate 5 mg": ("folic-acid",),
    "L-methylfolate 15 mg": (),
    "Fols\u00e4ure 5 mg": ("folic-acid",),
    "Acide folique 5 mg": ("folic-acid",),
    "Foliumzuur 5 mg": ("folic-acid",),
    "Metformine 500 mg": ("metformin",),
    "Pantoprazol 40 mg": ("pantoprazole",),
    "Esomeprazol 20 mg": ("esomeprazole",),
}


@pytest.mark.parametrize(("text", "found"), PROBLEMS.items())
def test_a_problem_is_named_as_records_name_it(text: str, found: tuple[str, ...]) -> None:
    named = content().words.find(text, "problem")
    assert sorted(each for each in named if each != "look-alike") == sorted(found)


@pytest.mark.parametrize(("text", "found"), MEDICINES.items())
def test_a_medicine_is_named_as_records_name_it(text: str, found: tuple[str, ...]) -> None:
    assert sorted(content().words.find(text, "medicine")) == sorted(found)
