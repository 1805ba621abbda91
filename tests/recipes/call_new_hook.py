"""Call the hook `encounter-start` of the package that PYTHONPATH names, in demo mode and as a client; print what came.

A program of its own, because the recipe's registry is that of another copy of the package than the tests'.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[2]))  # last: the copy of the package comes first

from werkzeug.test import Client, TestResponse

from cds_service.app import create_app
from cds_service.settings import Settings
from tests.hooks.calling import ENVIRON, body
from tests.hooks.living import TODAY, prefetch
from tests.hooks.tokens import PUBLIC, Gated, claims, signed

PATH = "/cds-services/b12-encounter-start"
CALL = body(hook="encounter-start", prefetch=prefetch())


def heard(response: TestResponse) -> dict[str, Any]:
    """Status and cards, without the ids, which name the client."""
    cards = response.get_json().get("cards", [])
    shown = [{name: card[name] for name in ("summary", "detail", "indicator")} for card in cards]
    return {"status": response.status_code, "cards": shown}


def main(folder: Path) -> None:
    app = create_app(Settings(demo=True, store_url="none"), clock=lambda: TODAY)
    demo = Client(app)
    services = demo.get("/cds-services", environ_overrides=ENVIRON).get_json()["services"]
    lacking = {**CALL, "context": {"userId": "Practitioner/1"}}
    gated = Gated(folder)
    token = signed(claims(aud=PUBLIC + PATH))
    other = signed(claims(aud=PUBLIC + "/cds-services/b12-patient-view"))
    told = {
        "discovery": next(each for each in services if each["hook"] == "encounter-start"),
        "openapi": [*demo.get("/openapi.json", environ_overrides=ENVIRON).get_json()["paths"]],
        "demo": heard(demo.post(PATH, json=CALL, environ_overrides=ENVIRON)),
        "without a patient": demo.post(PATH, json=lacking, environ_overrides=ENVIRON).status_code,
        "client": heard(gated.post(CALL, token, PATH)),
        "wrong audience": gated.post(CALL, other, PATH).status_code,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
