"""The clinical content: cards/ loaded, checked and compiled into the types of `cds_service.clinical.tables`."""
