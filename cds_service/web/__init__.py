"""The edge towards the callers: routes, what is refused before it is read, errors, health. Flask appears here."""
