"""Watches the results of a client's patients, and writes one Task where the decision about one asks for something."""
