"""What the service is compared with: Flask, the same body parsed by orjson, one constant card, no decision at all."""

from __future__ import annotations

import gc
import os

import orjson
from flask import Flask, Response, request

CARD = {
    "cards": [
        {
            "uuid": "0b0e7f0a-6a3c-4b52-9a70-3e1f6f6f6b13",
            "summary": "Vitamin B12 148 ng/L",
            "detail": "A constant card.",
            "indicator": "warning",
            "source": {"label": "constant"},
        }
    ]
}


def create_app() -> Flask:
    """The app, with the garbage collector set as the service sets it."""
    app = Flask("constant", static_folder=None)

    @app.post("/cds-services/<service>")
    def call(service: str) -> Response:
        asked = orjson.loads(request.get_data())
        assert asked["prefetch"]
        return Response(orjson.dumps(CARD), mimetype="application/json")

    @app.get("/cds-services")
    def discovery() -> Response:
        return Response(b'{"services":[]}', mimetype="application/json")

    gc.collect()
    gc.freeze()
    gc.set_threshold(*(int(number) for number in os.environ["BENCH_GC_THRESHOLDS"].split()))
    return app
