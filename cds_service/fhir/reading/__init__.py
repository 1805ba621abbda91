"""One resource type each: FHIR becomes the words of clinical/record.py, or is reported as not used."""
