"""What a client and its operator can do after a refusal: come again with the same token, read what was wrong."""

from __future__ import annotations

import time

from tests.hooks.calling import PATH, body
from tests.hooks.living import prefetch
from tests.hooks.tokens import PUBLIC, Gated, claims, signed

CALL = body(prefetch=prefetch())
RATE = 60  # a minute: who must wait, waits a second


def test_who_was_told_to_wait_may_come_again_with_the_same_token(tmp_path):
    gated = Gated(tmp_path, main={"rate": RATE})
    for _ in range(3 * RATE):
        token = signed()
        refused = gated.post(CALL, token)
        if refused.status_code == 429:
            break
    assert refused.status_code == 429
    time.sleep(int(refused.headers["Retry-After"]))
    assert gated.post(CALL, token).status_code == 200
    time.sleep(2 * 60 / RATE)
    assert gated.post(CALL, token).status_code == 401, "and once only"


def test_a_replayed_token_uses_up_nobodys_turn(tmp_path):
    gated = Gated(tmp_path, main={"rate": 2})
    token = signed()
    assert [gated.post(CALL, token).status_code for _ in range(4)] == [200, 401, 401, 401]
    assert gated.post(CALL, signed()).status_code == 200


def test_the_log_says_which_audience_would_have_been_right(tmp_path):
    gated = Gated(tmp_path)
    answer = gated.post(CALL, signed(claims(aud="https://wrong.example.org/cds-services/b12-patient-view")))
    (noted,) = gated.heard.events("not admitted")
    assert (noted["why"], noted["expected"]) == ("aud", PUBLIC + PATH)
    assert "wrong.example.org" not in gated.heard.text, "what a token says is not repeated"
    assert PUBLIC not in answer.text
    gated.post(CALL, signed(claims(tenant="x")))
    assert "expected" not in gated.heard.events("not admitted")[1]
