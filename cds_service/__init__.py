"""B12 CDS: a CDS Hooks service for vitamin B12 deficiency."""

__version__ = "0.1.0"
