"""Doctor: what a person needs to know of a FHIR server before the service goes live there. Start at `examine`."""
