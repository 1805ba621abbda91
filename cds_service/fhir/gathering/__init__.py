"""What arrives: prefetch and answers of a FHIR server, as a state and the resources of each key."""
