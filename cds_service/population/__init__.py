"""A whole population decided from a FHIR Bulk Data extract: the same decision as at the chart, one row a patient."""
