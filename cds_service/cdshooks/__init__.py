"""Speaks CDS Hooks: messages, catalogue, cards."""
