"""`b12-cds conform`: any CDS service against the numbered checklist of docs/protocol-checklist.md, item by item."""
