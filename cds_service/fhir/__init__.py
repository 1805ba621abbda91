"""Speaks FHIR: what arrives, what it says, and the drafts that go back."""
