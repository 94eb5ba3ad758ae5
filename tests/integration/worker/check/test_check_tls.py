"""``lambda-router-worker check`` against Debian's Valkey with TLS and the documented users.

The Valkey of every other test is built without TLS.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lambda_router_worker.checking.checks import ALWAYS, LAST
from tests import debian, servers
from tests.contract.test_operations_page import documented_users
from tests.integration.worker.check.checking import OK, WRONG, run_check
from tests.tls import HOST, Signed, write_signed

pytestmark = pytest.mark.engines

PASSWORD = "hunter2-hunter2"


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Signed:
    return write_signed(tmp_path_factory.mktemp("signed"))


@contextmanager
def tls_server(folder: Path, signed: Signed, *options: str) -> Iterator[int]:
    """The TLS port of a Valkey with the documented users, and no other."""
    port = servers.free_port()
    users = [" ".join(["user", name, *rules]) for name, rules in documented_users().items()]
    (folder / "users.acl").write_text("\n".join(["user default off", *users, ""]).replace("…", PASSWORD))
    files = f"--tls-cert-file {signed.certificate} --tls-key-file {signed.key} --tls-ca-cert-file {signed.authority}"
    fixed = f"--port 0 --tls-port {port} {files} --aclfile {folder}/users.acl --maxmemory-policy noeviction"
    program = debian.program_or_skip("valkey-server")
    with servers.debian_server(program, *fixed.split(), *options, port=port, folder=folder):
        yield port


def url(port: int, signed: Signed, host: str = HOST, user: str = "worker", password: str = PASSWORD) -> str:
    return f"rediss://{user}:{password}@{host}:{port}/0?ssl_ca_certs={signed.authority}"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory, signed: Signed) -> Iterator[int]:
    with tls_server(tmp_path_factory.mktemp("server"), signed, "--tls-auth-clients", "no") as port:
        yield port


def test_everything_is_ok_for_the_documented_user(port: int, signed: Signed) -> None:
    said = run_check("check", "--no-backend", REDIS_URL=url(port, signed))

    assert said.status == OK, said.text
    assert said.kinds == {check.thing: "ok" for check in (*ALWAYS, *LAST)}


@pytest.mark.parametrize(
    ("changed", "thing"),
    [
        (("rediss:", "redis:"), "TLS"),
        ((f"@{HOST}", "@localhost"), "TLS"),
        (("?ssl_ca_certs=", "?ssl_check_hostname=yes&"), "Redis URL"),
        (("/0?", "/99?"), "login"),
        ((PASSWORD, "hunter3"), "login"),
    ],
)
def test_one_wrong_word_in_the_url_is_found(port: int, signed: Signed, changed: tuple[str, str], thing: str) -> None:
    said = run_check("check", "--no-backend", REDIS_URL=url(port, signed).replace(*changed))

    assert (said.status, said.kinds[thing]) == (WRONG, "WRONG"), said.text
    assert "hunter" not in said.text


def test_an_authority_that_the_url_does_not_name_is_found(port: int, signed: Signed) -> None:
    said = run_check("check", "--no-backend", REDIS_URL=url(port, signed).partition("?")[0])

    assert (said.status, said.kinds["TLS"]) == (WRONG, "WRONG"), said.text
    assert "authority" in said.line("TLS")


def test_valkeys_default_of_wanting_clients_certificates_is_found(tmp_path: Path, signed: Signed) -> None:
    with tls_server(tmp_path, signed) as port:
        said = run_check("check", "--no-backend", REDIS_URL=url(port, signed))

    assert (said.status, said.kinds["TLS"]) == (WRONG, "WRONG"), said.text
    assert "tls-auth-clients no" in said.text
