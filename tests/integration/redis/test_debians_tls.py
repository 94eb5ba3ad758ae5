"""A home of one's own as the pages describe it: TLS only, an authority of its own, two ACL users, noeviction, AOF."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from chalicelib.errors import QueueUnavailable
from tests import debian, servers, tls
from tests.contract.repository import page
from tests.contract.test_operations_page import PASSWORD, documented_users
from tests.integration.worker.worker_program import worker_process
from tests.patience import eventually
from tests.protocol.test_transport import callers, work_one

pytestmark = pytest.mark.engines


@dataclass(frozen=True)
class Home:
    """One server, and how to reach it."""

    program: Path
    folder: Path
    port: int
    signed: tls.Signed

    def url(self, user: str) -> str:
        return f"rediss://{user}:{PASSWORD}@127.0.0.1:{self.port}/0?ssl_ca_certs={self.signed.authority}"

    @contextmanager
    def running(self) -> Iterator[None]:
        """The server, until the block ends. Started again, it has what it had."""
        options = {
            "port": "0",
            "tls-port": str(self.port),
            "tls-cert-file": str(self.signed.certificate),
            "tls-key-file": str(self.signed.key),
            "tls-ca-cert-file": str(self.signed.authority),
            "tls-auth-clients": "no",
            "aclfile": str(self.folder / "users.acl"),
            "appendonly": "yes",
            "maxmemory": "100mb",
            "maxmemory-policy": "noeviction",
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        with servers.debian_server(self.program, *words, port=self.port, folder=self.folder):
            assert eventually(self._is_loaded)
            yield

    def _is_loaded(self) -> bool:
        try:
            with redis.Redis.from_url(self.url("worker")) as client:
                return bool(client.ping())
        except redis.ConnectionError:  # it is still reading its file
            return False


def acl_file() -> str:
    """The users of docs/operations.md, and no other: the page has the line for the default user, too."""
    (default,) = re.findall(r"`(user default off .*?)`", page("docs/operations.md"))
    users = {user: " ".join(rules).replace(">…", f">{PASSWORD}") for user, rules in documented_users().items()}
    return "\n".join([default, *(f"user {user} {rules}" for user, rules in users.items()), ""])


@pytest.fixture(params=servers.DEBIAN_ENGINES)
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    program = debian.program_or_skip(request.param)
    (tmp_path / "users.acl").write_text(acl_file())
    return Home(program, tmp_path, servers.free_port(), tls.write_signed(tmp_path))


def test_both_sides_work_a_job_as_their_users(home: Home) -> None:
    with home.running():
        router = callers(home.url("router"))
        job_id = router.send_one()

        assert asyncio.run(work_one(home.url("worker"))) == "done"

        assert router.look(job_id).status == "completed"


def test_a_worker_process_works_a_job_that_outlived_a_restart_of_the_server(home: Home) -> None:
    router = callers(home.url("router"))
    with home.running():
        job_id = router.send_one()
    with home.running():
        worker = worker_process(home.folder, home.url("worker"), "--handler", "lambda_router_worker.demo:answer")
        with worker:
            assert eventually(lambda: router.look(job_id).status == "completed", seconds=20)


@pytest.mark.parametrize("scheme", ["redis", "rediss"], ids=["without TLS", "without the authority"])
def test_who_does_not_come_by_tls_or_does_not_know_the_authority_gets_nothing(home: Home, scheme: str) -> None:
    url = home.url("router").partition("?")[0].replace("rediss", scheme)

    with home.running(), pytest.raises(QueueUnavailable):
        callers(url).send()


@pytest.mark.parametrize("user", ["default", "nobody"])
def test_nobody_else_is_let_in(home: Home, user: str) -> None:
    with home.running(), pytest.raises(QueueUnavailable):
        callers(home.url(user)).send()


def test_the_signature_of_the_packages_is_checked(tmp_path: Path) -> None:
    """A keyring without Debian's keys: nothing is unpacked."""
    debian.program_or_skip("valkey-server")
    (tmp_path / "keys.gpg").touch()

    with pytest.raises(debian.Unavailable):
        debian.prepare("engines", tmp_path, tmp_path / "keys.gpg")

    assert not (tmp_path / "engines").exists()
    assert debian.versions("engines", tmp_path) == {}
