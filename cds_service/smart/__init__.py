"""The evidence view as a SMART app: launched from a card in the record system, read with the clinician's own token."""
