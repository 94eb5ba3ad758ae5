"""``make doctor`` and a pool whose discovery document says something unexpected: a server on loopback plays Cognito."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, override

import pytest

from chalicelib.user_pool import issuers_of
from tests.deploy.cloud import inventory
from tests.deploy.kit.doctor_patient import Patient, new_patient
from tools.doctor.issuer import issuer
from tools.stack.configured import Stack
from tools.stack.findings import Finding

pytestmark = pytest.mark.release

POOL = "eu-central-1_AbCdEf123"
PATH = f"/{POOL}/.well-known/openid-configuration"


@dataclass
class Pool:
    """What Cognito says: the pool's description, and its discovery document; None is not to be had."""

    description: dict[str, Any] = field(default_factory=dict)
    discovery: Any = None
    url: str = ""


@contextmanager
def playing(pool: Pool) -> Iterator[None]:
    class Cognito(BaseHTTPRequestHandler):
        @override
        def log_message(self, *_: Any) -> None:
            return None

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer({"UserPool": {"Id": POOL, "Name": "pool"} | pool.description})

        def do_GET(self) -> None:
            known = self.path == PATH and pool.discovery is not None
            self._answer(pool.discovery if known else {}, 200 if known else 404)

        def _answer(self, told: Any, status: int = 200) -> None:
            body = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Cognito) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        pool.url = f"http://127.0.0.1:{server.server_port}"
        yield
        server.shutdown()


@pytest.fixture
def pool() -> Iterator[Pool]:
    state = Pool()
    with playing(state):
        yield state


@pytest.fixture
def patient(terraform: None, tmp_path: Path, pool: Pool) -> Patient:
    arn = f"arn:aws:cognito-idp:{inventory.REGION}:{inventory.REGION}:userpool/{POOL}"
    return new_patient(tmp_path, pool.url, {"id": POOL, "arn": arn, "client": "1h57kf5cpq17m0eml12EXAMPLE"})


def looked(patient: Patient) -> dict[str, Finding]:
    def connect(service: str, region: str) -> Any:
        return inventory.client(service, patient.url, region)

    stack = Stack(patient.root, patient.root / "terraform", dict(patient.environ), connect)
    return {finding.thing: finding for finding in issuer(stack)}


def _discovery(pool: Pool, **changes: str) -> dict[str, str]:
    keys = f"{pool.url}/{POOL}/.well-known/jwks.json"
    return {"issuer": issuers_of(POOL)["ORIGINAL"], "jwks_uri": keys} | changes


def test_an_issuer_that_the_function_would_refuse_is_named_and_mended(patient: Patient, pool: Pool) -> None:
    elsewhere = f"https://cognito-idp.somewhere.example/{POOL}"
    patient.set("cognito_issuer", "https://login.example.com")
    pool.discovery = _discovery(pool, issuer=elsewhere)

    fault = looked(patient)["issuer"]

    assert (fault.ok, fault.found) == (False, elsewhere)
    patient.mend(fault)
    assert looked(patient)["issuer"].ok
    assert f'cognito_issuer = "https://login.example.com,{elsewhere}"' in patient.tfvars.read_text()


@pytest.mark.smoke
def test_keys_that_are_elsewhere_are_named_and_mended(patient: Patient, pool: Pool) -> None:
    pool.discovery = _discovery(pool, jwks_uri="https://keys.example.com/jwks.json")

    fault = looked(patient)["signing keys"]

    assert (fault.ok, fault.found) == (False, "https://keys.example.com/jwks.json")
    patient.mend(fault)
    assert set(looked(patient)) == {"issuer type", "issuer"}  # whoever sets COGNITO_JWKS knows where they are


@pytest.mark.parametrize("discovery", [None, [], "text"], ids=["not there", "a list", "text"])
def test_without_a_discovery_document_the_description_counts(patient: Patient, pool: Pool, discovery: Any) -> None:
    pool.discovery = discovery

    found = looked(patient)

    assert found["issuer type"].found == "ORIGINAL"
    assert found["issuer"].ok
    assert "cannot fetch its discovery document" in found["issuer"].found


def test_a_type_that_nobody_here_knows_is_called_wrong(patient: Patient, pool: Pool) -> None:
    pool.description = {"IssuerConfiguration": {"Type": "NEWEST"}}

    assert looked(patient)["issuer type"].found == "NEWEST"
    assert not looked(patient)["issuer type"].ok
