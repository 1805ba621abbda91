"""Code that nobody uses, as vulture finds it: `python tests/unused.py` names it and ends with 1.

Vulture reads Python only, so what a template or a library calls by name is named here, each with its reason; a name
that needs no reason any more is named too. At 60 % vulture reports functions, methods, attributes and variables; what
it is surer of is code that cannot be reached.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from vulture import Vulture

ROOT = Path(__file__).resolve().parents[1]
SERVICE = ROOT / "cds_service"
SURE = 60  # percent
# What registers itself: rules and steps of the findings, routes, commands, checks of a setting.
DECORATORS = [
    "@finding",
    "@about_orders",
    "@step",
    "@*.command",
    "@*.route",
    "@*.get",
    "@*.post",
    "@*_validator",
    "@*.errorhandler",
]
DECORATORS += ["@app.*", "@main.*", "@event.*", "@*.listens_for", "@*.after_request", "@*.before_request"]
# name -> who uses it
ALLOWED = {
    "label_words": "a program that asks by api.py reads it",
    "content_digest": "a part of GET /about",
    "orders_lost": "a part of fixtures/demographics.json",
    "orders_gained": "as orders_lost",
    "max_header_length": "joserfc reads it",
    "egfr": "a vignette is checked by its type; vignette_fhir.py reads what it says",
    "user_id": "a context is checked by its type; tokens and prefetch look its values up by name",
    "encounter_id": "as user_id",
    "exit_code": "click reads it",
    "run_on_spark": "deploy/spark calls it",
    "most_suggestions": "content/site.py reads it by name",
    "dismissed_untreated": "the fixed cards are read by name",
    "get_redirect_target": "requests calls it",
    "resp": "the name that requests gives the argument",
    "trust_env": "requests reads it",
    "pool_classes_by_scheme": "urllib3 reads it",
    "response_class": "http.client reads it",
    "_new_conn": "urllib3 calls it",
    "ConnectionCls": "urllib3 reads it",
    "server_version": "http.server reads it",
    "sys_version": "http.server reads it",
    "do_GET": "http.server calls it",
    "do_PUT": "http.server calls it",
    "close_connection": "http.server reads it",
    "log_message": "http.server calls it",
    "daemon_threads": "socketserver reads it",
    "request_queue_size": "socketserver reads it",
    "handle_error": "socketserver calls it",
    "load_config": "gunicorn calls it",
    "on_client_socket_readable": "gunicorn calls it",
    "murder_pending": "gunicorn calls it",
    "data_ready": "gunicorn reads it",
    "exclusions": "tests look for these sentences in every answer",
    "max_content_length": "werkzeug reads it",
    "model_config": "pydantic reads it",
    "revision": "alembic reads it",
    "down_revision": "alembic reads it",
    "branch_labels": "alembic reads it",
    "depends_on": "alembic reads it",
    "ms": "a column of the store",
    "_inherited": "holds what a forked process must not let go of",
    "jinja_loader": "Flask reads it",
    "lstrip_blocks": "Jinja reads it",
    "trim_blocks": "Jinja reads it",
    "max_form_memory_size": "werkzeug reads it",
    "max_form_parts": "werkzeug reads it",
}


def named_in_templates() -> set[str]:
    """Every name that a template looks up in something."""
    texts = (path.read_text() for path in (SERVICE / "ui" / "templates").rglob("*.html"))
    return {name for text in texts for name in re.findall(r"\.([a-z_]\w*)", text)}


def main() -> int:
    finder = Vulture(ignore_decorators=DECORATORS)
    finder.scavenge([str(SERVICE)])
    found = finder.get_unused_code(min_confidence=SURE)
    shown = named_in_templates()
    unused = [each for each in found if each.name not in ALLOWED and each.name not in shown]
    for each in unused:
        print(f"{each.filename.relative_to(ROOT)}:{each.first_lineno}: nobody uses the {each.typ} {each.name!r}")
    needless = sorted(set(ALLOWED) - {each.name for each in found})
    for name in needless:
        print(f"tests/unused.py: {name!r} needs no reason any more")
    return 1 if unused or needless else 0


if __name__ == "__main__":
    sys.exit(main())
