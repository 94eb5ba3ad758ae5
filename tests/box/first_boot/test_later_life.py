"""What comes after the first boot: a new certificate, reboots, another instance, a volume that is not ours.

The tests run in this order, on the home of test_first_boot.py.
"""

import subprocess
from pathlib import Path

import pytest
import redis

from tests.box.first_boot import surroundings
from tests.box.first_boot.clients import as_user, certificate_serial, processed_by_a_worker, router
from tests.box.first_boot.conftest import Home
from tests.box.first_boot.machine import volume

pytestmark = [pytest.mark.box, pytest.mark.timeout(900)]

PROGRAMS = "/usr/local/lib/valkey-home"
URLS = ("redis-url", "worker-redis-url", "redis-authority")


def published(home: Home) -> list[str]:
    return [home.parameter(name)["Value"] for name in URLS]


def test_a_certificate_that_lasts_is_kept(home: Home) -> None:
    before = certificate_serial(home)

    assert home.machine.must(f"{PROGRAMS}/certificate") == ""
    assert certificate_serial(home) == before


def test_a_certificate_near_its_end_is_replaced_without_a_restart(home: Home) -> None:
    """It lasts 30 days; asked for 31, the program takes it for one that ends."""
    before, authority = certificate_serial(home), home.parameter("redis-authority")["Value"]
    with as_user(home, "redis-url") as connected:
        connected.ping()
        home.machine.must(f"{PROGRAMS}/certificate 31")

        assert certificate_serial(home) != before
        assert connected.ping()
    assert home.machine.text("/srv/valkey/access/authority.pem") == authority


def test_a_certificate_for_another_address_is_replaced(home: Home) -> None:
    before = certificate_serial(home)
    home.machine.must("cp /etc/valkey-home/settings /run/settings")
    home.machine.must("sed -i 's/^ADDRESS=.*/ADDRESS=\"192.0.2.1\"/' /etc/valkey-home/settings")

    assert "192.0.2.1" in home.machine.must(f"{PROGRAMS}/certificate")
    home.machine.must("cp /run/settings /etc/valkey-home/settings")
    home.machine.must(f"{PROGRAMS}/certificate")
    assert certificate_serial(home) != before


def test_an_authority_near_its_end_is_not_replaced_behind_everybodys_back(home: Home) -> None:
    keep = "cd /srv/valkey/authority && cp -p authority.pem"
    home.machine.must(
        f"{keep} kept.pem && openssl x509 -in kept.pem -signkey key.pem -days 59 -out authority.pem 2>/dev/null"
    )
    ran = home.machine.run(f"{PROGRAMS}/certificate 31")
    home.machine.must("cd /srv/valkey/authority && mv kept.pem authority.pem")
    home.machine.must(f"{PROGRAMS}/certificate")

    assert ran.returncode == 1
    assert "60 days" in ran.stderr


def test_a_second_run_of_the_first_boot_changes_nothing(home: Home) -> None:
    before = published(home), certificate_serial(home)

    home.machine.must(f"{PROGRAMS}/first-boot", seconds=300)

    assert (published(home), certificate_serial(home)) == before


def test_a_password_is_renewed_by_deleting_its_file(home: Home) -> None:
    old = home.url("worker-redis-url")
    home.machine.must(f"rm /srv/valkey/secrets/worker && {PROGRAMS}/first-boot", seconds=300)

    assert home.url("worker-redis-url") != old
    with as_user(home, "worker-redis-url") as connection:
        assert connection.ping()
    with redis.Redis.from_url(old) as connection, pytest.raises(redis.exceptions.AuthenticationError):
        connection.ping()


def test_a_newer_agent_is_installed_and_a_foreign_package_is_not(home: Home, tmp_path: Path) -> None:
    version = "dpkg-query --show --showformat '${Version}' amazon-ssm-agent"
    assert home.machine.must(version) == "3.3.1"
    surroundings.Bucket.files[home.agent_path] = surroundings.agent_package(tmp_path, "3.3.2")
    home.machine.must(f"{PROGRAMS}/agent")
    assert home.machine.must(version) == "3.3.2"

    surroundings.Bucket.files[home.agent_path] = surroundings.agent_package(tmp_path, "9", "something-else")
    assert home.machine.run(f"{PROGRAMS}/agent").returncode == 1
    assert home.machine.run("dpkg-query --show something-else").returncode == 1
    surroundings.Bucket.files[home.agent_path] = surroundings.agent_package(tmp_path, "3.3.3")


def test_jobs_and_users_survive_a_loss_of_power(home: Home) -> None:
    before = published(home)
    job_id = router(home).send_one(input={"prompt": "before the loss"})
    home.machine.must("valkey-admin WAITAOF 1 0 1000")

    home.machine.boot_again()

    assert published(home) == before
    assert processed_by_a_worker(home, job_id) == "BEFORE THE LOSS"


def test_another_instance_takes_over_volume_users_authority_and_jobs(home: Home) -> None:
    """Here AWS's bucket has no agent at that moment, which must not keep callers waiting."""
    before, job_id = published(home), router(home).send_one(input={"prompt": "before the change"})
    agent = surroundings.Bucket.files.pop(home.agent_path)

    home.replaced()
    surroundings.Bucket.files[home.agent_path] = agent

    assert home.state() == {"instance": "i-0000000000000002", "state": "ready"}, home.boot_log
    assert published(home) == before
    assert processed_by_a_worker(home, job_id) == "BEFORE THE CHANGE"


def test_an_agent_that_was_not_there_at_first_comes_with_its_timer(home: Home) -> None:
    assert home.machine.run("dpkg-query --show amazon-ssm-agent").returncode == 1
    assert home.machine.must("systemctl is-active valkey-home-agent.timer") == "active\n"

    home.machine.must("systemctl start valkey-home-agent.service")
    assert home.machine.must("systemctl is-enabled amazon-ssm-agent.service") == "enabled\n"


def test_the_server_does_not_start_without_its_volume(home: Home) -> None:
    home.machine.must("systemctl stop valkey-server.service && umount /srv/valkey")
    home.machine.must("systemctl start valkey-server.service")

    assert home.machine.run("systemctl is-active valkey-server.service").stdout == "inactive\n"


def test_a_volume_with_something_else_on_it_is_left_alone_and_the_boot_says_where_it_failed(
    home: Home, tmp_path: Path
) -> None:
    with volume(tmp_path, 64) as foreign:
        subprocess.run(["mkswap", foreign], check=True, capture_output=True)
        numbers = Path(foreign).stat().st_rdev
        home.machine.must(f"mknod /dev/foreign b {numbers >> 8} {numbers & 255}")
        home.machine.must("sed -i 's|^DEVICE=.*|DEVICE=\"/dev/foreign\"|' /etc/valkey-home/settings")
        ran = home.machine.run(f"{PROGRAMS}/first-boot", seconds=300)
        found = subprocess.run(["blkid", "--probe", foreign], check=True, capture_output=True, text=True).stdout

    assert ran.returncode == 1
    assert 'TYPE="swap"' in found
    assert home.state() == {"instance": "i-0000000000000002", "state": "failed", "step": "volume"}
