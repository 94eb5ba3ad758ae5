"""Redis on ElastiCache: its users are those of docs/operations.md, and their passwords can leave the state behind.

moto lacks parameter groups, user groups and changes of users, so only users and URLs are created there. For the rest
see ``terraform/tests/elasticache.tftest.hcl``.
"""

import json
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.contract.repository import fences
from tests.contract.test_operations_page import documented_users
from tests.deploy.cloud.inventory import client
from tests.deploy.conftest import initialised
from tests.deploy.kit.terraform_cli import HAND_WRITTEN, Terraform, cli_configuration
from tools.stack.configured import Stack

pytestmark = pytest.mark.timeout(180)

MODULE = HAND_WRITTEN / "modules/elasticache"
URL = "rediss://router:0ld0ld0ld0ld0ld0ld@master.lambda-router-prod.abcdef.euc1.cache.amazonaws.com:6379/0"
KEY = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"

#: What stands for the rest of the module.
AROUND = """
provider "aws" {
  region      = "eu-central-1"
  max_retries = 2
}

locals {
  host = var.name
  port = 6379
}
"""

#: Stands for the AWS CLI: keeps its words, and the file that they name, and finds the user changed at the second look.
AWS = """#!/bin/sh
echo "$*" >>calls
for word; do
  case $word in file://*) cat "${word#file://}" >>sent; echo >>sent; ls -l "${word#file://}" >>modes ;; esac
done
case $2 in
  get-parameter) cat url ;;
  modify-user) [ ! -e refusing ] ;;
  describe-users) [ -e seen ] && echo active || echo modifying; touch seen ;;
esac
"""


def _users_tf() -> str:
    return (MODULE / "users.tf").read_text()


def _commands(user: str) -> list[str]:
    _, _, block = _users_tf().partition(f"{user} = {{\n")
    found = re.search(r"commands = \[(.*?)\]", block, re.DOTALL)
    assert found is not None
    return [str(each) for each in re.findall(r'"([^"]+)"', found[1])]


@pytest.mark.parametrize("user", ["router", "worker"])
def test_a_user_may_what_the_operations_page_allows_it(user: str) -> None:
    documented = [rule.removeprefix("+") for rule in documented_users()[user] if rule.startswith("+")]

    assert sorted(_commands(user)) == sorted(documented)


def test_there_are_the_pages_users_and_no_others() -> None:
    named = re.findall(r"^    (\w+) = \{$", _users_tf(), re.MULTILINE)

    assert sorted(named) == sorted(documented_users())


def test_what_the_stack_is_told_are_its_variables() -> None:
    _, _, told = (MODULE / "outputs.tf").read_text().partition('output "stack_variables" {')
    named = re.findall(r"^    (\w+) += ", told.partition("\n}\n")[0], re.MULTILINE)

    assert len(named) == 3
    assert set(named) <= set(Stack().declared)


@pytest.fixture
def shell(tmp_path: Path) -> Path:
    """A folder in which ``aws`` is a stand-in, and pauses take no time."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("aws", AWS), ("sleep", "#!/bin/sh\n")):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    (tmp_path / "url").write_text(URL + "\n")
    return tmp_path


def test_the_pages_commands_change_a_password_without_showing_one(shell: Path) -> None:
    (command,) = fences((MODULE / "README.md").read_text(), "sh")
    environ = {"PATH": f"{shell / 'bin'}:{os.environ['PATH']}"}  # noqa: TID251

    ran = subprocess.run(
        ["sh", "-euxc", f'{command}\nset_passwords "\\"$NEW\\""'],
        cwd=shell,
        env=environ,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    both, stored, one = (json.loads(line) for line in (shell / "sent").read_text().splitlines())
    old, new = both["Passwords"]

    assert old == "0ld0ld0ld0ld0ld0ld"
    assert re.fullmatch(r"[0-9a-f]{64}", new)
    assert both["UserId"] == one["UserId"] == "lambda-router-prod-router"
    assert one["Passwords"] == [new]
    assert stored == {
        "Name": "/lambda-router/prod/redis-url",
        "Type": "SecureString",
        "Value": URL.replace(old, new),
        "Overwrite": True,
    }
    called = (shell / "calls").read_text()
    assert old not in called
    assert new not in called
    assert ran.stdout == ""
    assert {line[:10] for line in (shell / "modes").read_text().splitlines()} == {"-rw-------"}
    assert not list(shell.glob("*.json"))


def test_a_refused_password_does_not_get_into_the_url(shell: Path) -> None:
    (command,) = fences((MODULE / "README.md").read_text(), "sh")
    (shell / "refusing").touch()
    environ = {"PATH": f"{shell / 'bin'}:{os.environ['PATH']}"}  # noqa: TID251

    subprocess.run(["sh", "-c", command], cwd=shell, env=environ, check=True, capture_output=True, timeout=60)

    assert "put-parameter" not in (shell / "calls").read_text()
    assert not list(shell.glob("*.json"))


def test_the_commands_are_the_aws_clis() -> None:
    (command,) = fences((MODULE / "README.md").read_text(), "sh")
    calls = re.findall(r"aws (\w+) ([a-z-]+)", command)

    for service, action in calls:
        model = client(service, "http://127.0.0.1:1").meta.service_model
        assert action.replace("-", "") in {name.lower() for name in model.operation_names}
    assert {shlex.join(call) for call in calls} == {
        "elasticache describe-users",
        "elasticache modify-user",
        "ssm get-parameter",
        "ssm put-parameter",
    }


@pytest.mark.release
def test_each_url_logs_in_with_its_users_password_and_never_enters_the_state(
    terraform: None, aws_url: str, tmp_path: Path
) -> None:
    cli_configuration(tmp_path)
    folder = tmp_path / "redis"
    folder.mkdir()
    users, main = _users_tf(), (MODULE / "main.tf").read_text()
    (folder / "users.tf").write_text(users[: users.index('resource "aws_elasticache_user_group"')])
    (folder / "main.tf").write_text(AROUND + main[main.index('resource "aws_ssm_parameter" "url"') :])
    (folder / "variables.tf").write_text((MODULE / "variables.tf").read_text())
    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    redis = initialised(Terraform(folder, {"AWS_ENDPOINT_URL": aws_url} | keys))
    given = {"name": "lambda-router-prod", "parameter_prefix": "/lambda-router/prod"}

    redis.apply(**given)
    again = redis.save("later.tfplan", **given, queues=["tinyllama", "llava"])
    (folder / "main.tf").write_text((folder / "main.tf").read_text().replace("URL of Redis for", "The URL for"))
    reworded = redis.plan(**given)
    redis.save("elsewhere.tfplan", **given, kms_key_arn=KEY)
    state = json.loads((folder / "terraform.tfstate").read_text())
    passwords = {
        each["attributes"]["user_name"]: each["attributes"]["passwords"]
        for kind in state["resources"]
        for each in kind["instances"]
        if kind["type"] == "aws_elasticache_user"
    }

    ssm = client("ssm", aws_url)
    for user, name in (("router", "redis-url"), ("worker", "worker-redis-url")):
        told = ssm.get_parameter(Name=f"/lambda-router/prod/{name}", WithDecryption=True)["Parameter"]
        assert told["Type"] == "SecureString"
        assert told["Value"] == f"rediss://{user}:{passwords[user][0]}@lambda-router-prod:6379/0"
        assert told["Value"] not in json.dumps(state)
    assert len({each for (each,) in passwords.values()}) == 3
    # A queue more changes what the users may, and neither passwords nor URLs.
    assert set(again.actions) == {f'aws_elasticache_user.side["{user}"]' for user in ("router", "worker")}
    # The provider keeps no value, so it would send an empty one with another description or key alone.
    assert not {name for name in reworded.actions if name.startswith("aws_ssm_parameter")}
    moved = {each["address"]: each["change"] for each in redis.shown("elsewhere.tfplan")["resource_changes"]}
    for user in ("router", "worker"):
        url = moved[f'aws_ssm_parameter.url["{user}"]']
        assert url["before"]["value_wo_version"] != url["after"]["value_wo_version"]
    changed = [each["change"] for each in redis.shown("later.tfplan")["resource_changes"]]
    assert [change for change in changed if _passwords(change["before"]) != _passwords(change["after"])] == []


def _passwords(values: dict[str, Any]) -> Any:
    return values.get("passwords")
