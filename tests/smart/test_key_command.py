"""`b12-cds smart key`: a key pair that clients.toml takes, and whose private half nobody else can read."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from cds_service.auth.clients import load_clients
from cds_service.cli import main
from tests.hooks.tokens import write


def made(*words: str) -> Result:
    return CliRunner().invoke(main, ["smart", "key", *words])


@pytest.mark.parametrize("algorithm", ["ES384", "RS384"])
def test_a_pair_is_made_of_which_the_public_half_is_printed(tmp_path: Path, algorithm: str):
    before = os.umask(0)
    try:
        done = made("--out", str(tmp_path / "ours.jwk.json"), "--kid", "ours", "--algorithm", algorithm)
    finally:
        os.umask(before)
    assert done.exit_code == 0, done.output
    assert stat.S_IMODE((tmp_path / "ours.jwk.json").stat().st_mode) == 0o600
    (public,) = json.loads(done.stdout)["keys"]
    assert (public["kid"], public["alg"], public["use"]) == ("ours", algorithm, "sig")
    assert not {"d", "p", "q", "dp", "dq", "qi"} & public.keys()
    private = json.loads((tmp_path / "ours.jwk.json").read_text())
    key = (ECKey if algorithm == "ES384" else RSAKey).import_key(private)
    signed = jwt.encode({"alg": algorithm, "kid": "ours"}, {"sub": "b12-cds"}, key, algorithms=[algorithm])
    registered = KeySet.import_key_set(json.loads(done.stdout))
    assert jwt.decode(signed, registered, algorithms=[algorithm]).claims == {"sub": "b12-cds"}


@pytest.mark.parametrize("algorithm", ["ES384", "RS384"])
def test_clients_toml_takes_it_as_the_key_of_an_app(tmp_path: Path, algorithm: str):
    made("--out", str(tmp_path / "ours.jwk.json"), "--algorithm", algorithm)
    app = {"client_id": "b12-cds", "key": "ours.jwk.json"}
    path = write(tmp_path, main={"smart": app, "fhir": [{"base": "https://ehr.example.org/fhir"}],
                                 "public_base_url": "https://cds.example.org"})  # fmt: skip
    (client,) = load_clients(path).all
    assert len(client.smart.key.kid) == 43  # its thumbprint


def test_a_key_that_is_there_is_never_replaced_and_a_folder_that_is_not_is_one_line(tmp_path: Path):
    there = tmp_path / "ours.jwk.json"
    there.write_text("kept")
    for path, why in ((there, "is there already"), (tmp_path / "none" / "x", "No such file or directory")):
        refused = made("--out", str(path))
        assert (refused.exit_code, refused.output.count("\n")) == (2, 1)
        assert refused.output.startswith(f"b12-cds: smart key: --out: {path} ")
        assert why in refused.output
    assert there.read_text() == "kept"
