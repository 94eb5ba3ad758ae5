"""The first boot of the instance of terraform/modules/valkey, in Debian's packages, up to a job that is processed."""

import json
import os
import socket
import ssl
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis

from tests.box.first_boot.clients import as_user, processed
from tests.box.first_boot.conftest import Home
from tests.contract.repository import ROOT, page
from tests.deploy.cloud.aws_calls import call
from tests.deploy.cloud.inventory import REGION, client
from tests.deploy.cloud.recorder import recorded
from tests.patience import eventually
from tools.permissions.policy import Request, decide, statements

pytestmark = [pytest.mark.box, pytest.mark.timeout(900)]


def test_the_first_boot_publishes_that_this_instance_is_ready(home: Home) -> None:
    assert home.state() == {"instance": home.machine.instance_id, "state": "ready"}, home.boot_log


def test_urls_are_secret_strings_for_the_elastic_ip(home: Home) -> None:
    for name, user in (("redis-url", "router"), ("worker-redis-url", "worker")):
        parameter = home.parameter(name)
        url = urlsplit(parameter["Value"])

        assert parameter["Type"] == "SecureString"
        assert (url.scheme, url.username, url.hostname, url.port) == ("rediss", user, home.address, home.port)
        assert len(url.password or "") == 64


def test_a_worker_processes_a_job_over_tls_as_its_own_user(home: Home) -> None:
    assert processed(home, "hello") == "HELLO"


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ("redis-url", "FLUSHALL"),
        ("redis-url", "CONFIG GET *"),
        ("redis-url", "GET other"),
        ("redis-url", "GET lr:{another}:flow"),
        ("redis-url", "XREADGROUP GROUP workers me STREAMS lr:{tinyllama}:jobs:normal:0 >"),
        ("redis-url", "ACL LIST"),
        ("worker-redis-url", "KEYS *"),
        ("worker-redis-url", "FUNCTION LIST"),
        ("worker-redis-url", "SET other 1"),
        ("worker-redis-url", "SHUTDOWN NOSAVE"),
        ("worker-redis-url", "REPLICAOF 192.0.2.1 6379"),
        ("worker-redis-url", "MODULE LIST"),
    ],
)
def test_a_user_may_nothing_else(home: Home, user: str, words: str) -> None:
    with as_user(home, user) as connection, pytest.raises(redis.exceptions.NoPermissionError):
        connection.execute_command(*words.split())


@pytest.mark.parametrize("queue", ["tinyllama", "llava"])
def test_each_queue_of_the_variable_is_allowed(home: Home, queue: str) -> None:
    with as_user(home, "redis-url") as connection:
        assert connection.get(f"lr:{{{queue}}}:nothing") is None


def test_nobody_gets_in_without_a_user(home: Home) -> None:
    url = home.url("redis-url").replace(urlsplit(home.url("redis-url")).netloc.partition("@")[0] + "@", "")

    with redis.Redis.from_url(url) as connection, pytest.raises(redis.exceptions.AuthenticationError):
        connection.ping()


def test_the_port_speaks_tls_only(home: Home) -> None:
    with socket.create_connection((home.address, home.port), 10) as plain:
        plain.sendall(b"PING\r\n")
        with suppress(ConnectionResetError):
            assert b"PONG" not in plain.recv(100)


def test_old_versions_of_tls_are_refused(home: Home) -> None:
    context = ssl.create_default_context(cadata=home.parameter("redis-authority")["Value"])
    context.maximum_version = ssl.TLSVersion.TLSv1_2

    with socket.create_connection((home.address, home.port), 10) as plain, pytest.raises(ssl.SSLError):
        context.wrap_socket(plain, server_hostname=home.address)


def test_another_authority_vouches_for_nothing(home: Home) -> None:
    context = ssl.create_default_context()

    with (
        socket.create_connection((home.address, home.port), 10) as plain,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        context.wrap_socket(plain, server_hostname=home.address)


def test_no_record_is_evicted_or_kept_in_memory_only(home: Home) -> None:
    told = home.machine.must("valkey-admin INFO memory; valkey-admin INFO persistence; valkey-admin CONFIG GET dir")
    facts = dict(line.split(":", 1) for line in told.splitlines() if ":" in line)

    assert facts["maxmemory_policy"] == "noeviction"
    assert int(facts["maxmemory"]) > 0
    assert facts["aof_enabled"] == "1"
    assert "/srv/valkey/data" in told
    assert "ext4" in home.machine.must("findmnt --noheadings --output FSTYPE /srv/valkey")


def test_the_append_only_file_is_rewritten_inside_the_sandbox(home: Home) -> None:
    home.machine.must("valkey-admin BGREWRITEAOF")
    over = "valkey-admin INFO persistence | grep --quiet aof_rewrite_in_progress:0"

    assert eventually(lambda: home.machine.run(over).returncode == 0, 30)
    assert "aof_last_bgrewrite_status:ok" in home.machine.must("valkey-admin INFO persistence")
    assert home.machine.must("ls /srv/valkey/data/appendonlydir").count("2.incr.aof") == 1


def test_the_volume_is_mounted_at_each_start(home: Home) -> None:
    home.machine.must("findmnt --verify")

    line = next(each for each in home.machine.text("/etc/fstab").splitlines() if "/srv/valkey" in each)
    assert line.startswith(f"/dev/disk/by-id/{home.machine.device_name} /srv/valkey ext4 ")
    assert "nofail" in line


def test_the_server_cannot_read_what_only_root_needs(home: Home) -> None:
    pid = home.machine.must("systemctl show --property MainPID --value valkey-server.service").strip()
    assert home.machine.must(f"stat --format %U /proc/{pid}") == "valkey\n"

    for path in ("/srv/valkey/secrets/router", "/srv/valkey/authority/key.pem"):
        ran = home.machine.run(f"setpriv --reuid=valkey --regid=valkey --clear-groups cat {path}")
        assert (ran.returncode, ran.stdout) == (1, "")


def test_nothing_secret_is_written_anywhere_but_in_its_place(home: Home) -> None:
    secrets = [home.machine.text(f"/srv/valkey/secrets/{user}").strip() for user in ("admin", "router", "worker")]
    state = (home.folder / "terraform/root/terraform.tfstate").read_text()

    assert len({*secrets}) == 3
    for secret in secrets:
        assert secret not in home.boot_log
        assert secret not in state
        inside = home.machine.run(
            f"grep --recursive --files-with-matches {secret} /etc /var /usr/local /root /run /tmp"
        )
        assert (inside.returncode, inside.stdout) == (1, "")


def test_the_units_are_what_systemd_takes(home: Home) -> None:
    """``systemd-analyze`` reads them with their drop-ins."""
    units = "valkey-server.service valkey-home-{}.service valkey-home-{}.timer"
    names = {word for name in ("agent", "certificate", "metrics") for word in units.format(name, name).split()}
    ran = home.machine.run(f"systemd-analyze verify --man=no {' '.join(sorted(names))}")

    assert (ran.returncode, ran.stderr) == (0, "")


def test_timers_and_services_are_there_after_a_reboot_too(home: Home) -> None:
    links = home.machine.must(
        "cd /etc/systemd/system && find timers.target.wants multi-user.target.wants -type l"
    ).split()

    wanted = {f"timers.target.wants/valkey-home-{name}.timer" for name in ("agent", "certificate", "metrics")}
    services = {f"multi-user.target.wants/{name}.service" for name in ("valkey-server", "amazon-ssm-agent")}
    assert wanted | services <= set(links)
    assert "apt-daily-upgrade.timer" in home.machine.must("ls /usr/lib/systemd/system")
    for name in ("ssh.service", "ssh.socket"):
        assert home.machine.run(f"systemctl is-enabled {name}").stdout == "masked\n"
        assert home.machine.run(f"systemctl is-active {name}").stdout == "inactive\n"


def test_security_updates_of_debian_are_installed_by_themselves(home: Home) -> None:
    told = home.machine.must("apt-config dump")

    for wanted in (
        'APT::Periodic::Unattended-Upgrade "1";',
        'Unattended-Upgrade::Automatic-Reboot "true";',
        'Unattended-Upgrade::Origins-Pattern:: "origin=Debian,codename=${distro_codename},label=Debian-Security";',
    ):
        assert wanted in told
    home.machine.must("perl -c /etc/needrestart/conf.d/valkey-home.conf")
    # The server comes from where the updates come from.
    assert "Debian" in home.machine.must("apt-cache policy valkey-server") or "deb.debian.org" in told


def test_it_reports_what_the_alarms_watch(home: Home) -> None:
    home.machine.must("systemctl start valkey-home-metrics.service")
    cloudwatch: Any = client("cloudwatch", home.aws_url)
    metrics = cloudwatch.list_metrics(Namespace="LambdaRouter/Valkey")["Metrics"]
    watched = page("terraform/modules/valkey/alarms.tf").count("metric      = ")

    assert {each["MetricName"] for each in metrics} == {"MemoryUsed", "DiskUsed", "CertificateDays"}
    assert len(metrics) == watched
    assert all(each["Dimensions"] == [{"Name": "stack", "Value": "lambda-router-prod"}] for each in metrics)


def test_the_wait_step_knows_that_it_is_ready(home: Home, tmp_path: Path) -> None:
    environ = {**os.environ, "AWS_ENDPOINT_URL": home.aws_url, "AWS_ACCESS_KEY_ID": "t", "AWS_SECRET_ACCESS_KEY": "t"}  # noqa: TID251
    command = [sys.executable, "-m", "tools.deploy.wait_valkey", "--folder", home.folder / "terraform/root"]
    ran = subprocess.run(command, cwd=ROOT, env=environ, check=False, capture_output=True, text=True)

    assert (ran.returncode, ran.stderr.splitlines()[-1]) == (0, f"{home.machine.instance_id} is ready"), ran.stderr


def test_the_instances_role_allows_all_that_it_asks_of_aws_and_is_all_needed(home: Home) -> None:
    asked = [call(each) for each in recorded(home.aws_url) if "Credential=ASIAOFTHEINSTANCE" in each["authorization"]]
    policy = json.loads(home.resources["module.valkey.aws_iam_role_policy.this"]["policy"])
    arn = f"arn:aws:ssm:{REGION}:123456789012:parameter"
    requests = {
        Request("ssm:PutParameter", f"{arn}{each.given['Name']}")
        if each.operation == "PutParameter"
        else Request(f"{each.service}:{each.operation}", "*", {"cloudwatch:namespace": each.given.get("Namespace", "")})
        for each in asked
    }

    assert [each for each in requests if not decide(statements(policy), each).allowed] == []
    published = next(each["Resource"] for each in policy["Statement"] if each["Sid"] == "PublishOwnParameters")
    assert {each.resource for each in requests if each.action == "ssm:PutParameter"} == set(published)
    # What only the agent asks for was not seen here.
    seen = {each.action for each in requests}
    assert seen == {each["Action"][0] for each in policy["Statement"] if each["Sid"] != "BeReachedBySessionManager"}
