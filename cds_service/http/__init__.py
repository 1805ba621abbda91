"""The one HTTP client: which addresses may be called, and how, with limits of time, size and number."""
