"""The only way out: which addresses may be called, and how (the door), with limits of time, size and number."""
