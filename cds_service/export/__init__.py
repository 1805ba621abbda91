"""The clinical content as FHIR: value sets, CQL, plan and activity definitions, and the vignettes as test Bundles."""
