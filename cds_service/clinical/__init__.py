"""Speaks medicine: the record, units, findings and decisions. Standard library only."""
