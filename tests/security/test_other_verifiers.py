"""Our verifier beside npm's ``aws-jwt-verify`` and ``jose``, on the same tokens: each disagreement has a reason."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from chalicelib.callers.app_clients import AppClients
from chalicelib.callers.auth import TokenVerifier
from chalicelib.callers.jwks import StaticKeys
from chalicelib.errors import Unauthenticated
from tests import npm
from tests.conftest import CLIENT_ID, ISSUER, POOL
from tests.security.hostile_tokens import GOOD, HOSTILE, Workshop
from tests.unit.forge import Forge

NODE = Path(__file__).parent / "node"
PAGE = Path(__file__).parents[2] / "docs" / "security.md"
OTHERS = ("aws-jwt-verify", "jose")

type Verdicts = dict[str, dict[str, str]]


def ours(verifier: TokenVerifier, token: str) -> str:
    try:
        verifier.authenticate([f"Bearer {token}"])
    except Unauthenticated as refused:
        return refused.reason
    return "ok"


@pytest.fixture(scope="module")
def verdicts(forge: Forge, jwks: dict[str, Any]) -> Verdicts:
    """Token → verifier → "ok" or what is wrong with it."""
    npm.install(NODE)
    shop = Workshop(forge, int(time.time()))
    tokens = {name: make(shop) for name, make in (GOOD | HOSTILE).items()}
    setting = {"jwks": jwks, "issuer": ISSUER, "userPoolId": POOL, "clientId": CLIENT_ID, "tokens": tokens}
    asked = npm.run(NODE, "node", "verify.js", given=json.dumps(setting))
    assert asked.returncode == 0, asked.stderr
    found: Verdicts = json.loads(asked.stdout)
    keys = StaticKeys(json.dumps(jwks).encode())
    verifier = TokenVerifier(keys, issuers=[ISSUER], clients=AppClients([CLIENT_ID]), leeway_seconds=10)
    return {name: found[name] | {"ours": ours(verifier, token)} for name, token in tokens.items()}


def table() -> dict[str, list[str]]:
    """Token → what the others do, from the page; a row without a reason is no row."""
    section = PAGE.read_text().split("### Beside other verifiers")[1].split("\n#")[0]
    rows = re.findall(r"^\| ([^|]+) \| (takes|refuses) \| (takes|refuses) \| [^|\n]{8,} \|$", section, re.MULTILINE)
    return {name: others for name, *others in rows}


def test_the_verifiers_agree_on_the_good_tokens(verdicts: Verdicts) -> None:
    assert {name: set(verdicts[name].values()) for name in GOOD} == {name: {"ok"} for name in GOOD}


def test_each_disagreement_stands_in_the_table_with_its_reason(verdicts: Verdicts) -> None:
    taken = {name: [verdicts[name][other] == "ok" for other in OTHERS] for name in HOSTILE}
    disagreements = {
        name: ["takes" if yes else "refuses" for yes in others] for name, others in taken.items() if any(others)
    }

    assert {name for name in HOSTILE if verdicts[name]["ours"] == "ok"} == set()
    assert table() == disagreements
