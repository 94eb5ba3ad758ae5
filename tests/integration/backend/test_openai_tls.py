"""lambda_router_worker.backend.openai_backend over TLS: whose certificates are trusted, and what is said of others."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lambda_router_worker.backend.server_trouble import Kind, ServerTrouble
from tests.integration.backend.openai_jobs import job_of, with_backend
from tests.model_servers import Call, model_server
from tests.tls import terminating_proxy, write_certificate


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    return write_certificate(tmp_path, "localhost")


@pytest.fixture
def base_url(certificate: tuple[Path, Path]) -> Iterator[str]:
    """A model server behind TLS, with a certificate that nobody knows."""
    with model_server(Call.stream) as server, terminating_proxy(("127.0.0.1", server.port), *certificate) as port:
        yield f"https://localhost:{port}/v1"


def test_a_certificate_that_nobody_knows_is_the_servers_trouble(base_url: str):
    with pytest.raises(ServerTrouble) as raised:
        with_backend(lambda backend: backend(job_of(prompt="x")), base_url)
    assert raised.value.kind is Kind.UNREACHABLE
    assert raised.value.reason.startswith("TLS certificate not trusted: ")
    assert not raised.value.was_there


def test_ssl_cert_file_counts_whether_or_not_proxies_do(
    base_url: str, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    result = with_backend(lambda backend: backend(job_of(prompt="x")), base_url)
    assert result["text"] == "Grüße!"


def test_a_certificate_for_another_host_is_said_so(
    base_url: str, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    with pytest.raises(ServerTrouble) as raised:
        with_backend(lambda backend: backend(job_of(prompt="x")), base_url.replace("localhost", "127.0.0.1"))
    assert raised.value.reason.startswith("TLS certificate not trusted: ")


def test_an_ssl_cert_file_that_is_missing_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing"))
    with pytest.raises(ValueError, match="SSL_CERT_FILE"):
        with_backend(lambda backend: backend(job_of(prompt="x")), "https://localhost/v1")
