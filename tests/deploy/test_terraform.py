"""The hand-written Terraform: its style, its own tests, and whether it says the same as the code."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from chalicelib.errors import Problem
from chalicelib.observability import NAMESPACE, SERVICE, Metric
from chalicelib.settings import Settings
from tests.contract.repository import ROOT, files, name_of
from tests.deploy.conftest import initialised
from tests.deploy.terraform_cli import HAND_WRITTEN, Terraform, cli_configuration
from tests.deploy.terraform_docs import blocks, tables

pytestmark = pytest.mark.timeout(180)

MODULES = ["", "bootstrap", "modules/iam", "modules/ssm"]

#: What checkov is told to pass over, and the test in which the reason is seen to hold. Six reasons:
EXCEPTIONS = {
    # nothing may be cached
    "CKV_AWS_120": "Nothing is cached.",
    "CKV_AWS_225": "Nothing is cached.",
    # nothing asynchronous is worth a dead-letter queue
    "CKV_AWS_116": "test_only_the_gateways_stage_and_the_warm_rule_may_call_the_alias",
    # who may change the code is decided by IAM
    "CKV_AWS_272": "Only the environment deploys, by both of GitHub's subject formats.",
    # the only back end is Lambda, which knows API Gateway by IAM
    "CKV2_AWS_51": "Every method is integrated with the alias.",
    # a web ACL is the operator's; without one, a token and the throttle stand before the function
    "CKV2_AWS_29": "Every method below /v1 has the authorizer and the scope",
    # what is not secret needs no key
    "CKV2_AWS_34": "refuses_secrets",
    "CKV_AWS_173": "The Redis URL is a secret: only its parameter's name is in the function's variables.",
}


def _written(suffix: str) -> dict[str, str]:
    return {name_of(path): path.read_text() for path in files(suffix) if name_of(path).startswith("terraform/")}


def _all_tf() -> str:
    return "\n".join(_written(".tf").values())


def _config() -> dict[str, Any]:
    return dict(json.loads((ROOT / ".chalice/config.json").read_text()))


def _variables(module: str = "") -> dict[str, str]:
    return dict(blocks(HAND_WRITTEN / module / "variables.tf"))


def test_it_is_formatted(terraform: None, tmp_path: Path) -> None:
    cli_configuration(tmp_path)
    copy = shutil.copytree(HAND_WRITTEN, tmp_path / "terraform", ignore=shutil.ignore_patterns(".terraform"))

    assert Terraform(copy).run("fmt", "-check", "-recursive", "-diff", "-no-color", fails=True).said == ""


def test_it_is_valid(root_module: Terraform) -> None:
    said = json.loads(root_module.run("validate", "-json").out)

    assert (said["valid"], said["warning_count"]) == (True, 0), said["diagnostics"]


def test_the_bootstrap_is_valid_and_passes_its_tests(terraform: None, tmp_path: Path) -> None:
    cli_configuration(tmp_path)
    shutil.copytree(HAND_WRITTEN, tmp_path / "terraform", ignore=shutil.ignore_patterns(".terraform"))
    alone = Terraform(tmp_path / "terraform/bootstrap", {"TF_CLI_CONFIG_FILE": str(tmp_path / "terraform.rc")})
    initialised(alone, "-backend=false")

    assert "Success! 1 passed" in alone.run("test", "-no-color").said


def test_its_own_tests_pass(root_module: Terraform) -> None:
    ran = root_module.run("test", "-json", fails=True)
    summary = next(each for line in ran.out.splitlines() if (each := json.loads(line))["type"] == "test_summary")

    faults = [line for line in ran.out.splitlines() if '"type":"diagnostic"' in line]
    assert ran.status == 0, faults
    assert summary["test_summary"]["passed"] == sum(
        text.count("\nrun ") for name, text in _written(".tftest.hcl").items() if "bootstrap" not in name
    )


def test_there_are_enough_assertions() -> None:
    assert sum(text.count("assert {") for text in _written(".tftest.hcl").values()) >= 40


@pytest.mark.parametrize("module", MODULES)
def test_variables_are_in_order_typed_and_described(module: str) -> None:
    variables = _variables(module)

    assert list(variables) == sorted(variables)
    for name, body in variables.items():
        assert re.search(r"^  type +=", body, re.MULTILINE), name
        assert re.search(r'^  description = ".+\."$', body, re.MULTILINE), name


def test_every_variable_that_can_be_wrong_is_checked() -> None:
    unchecked = {name for name, body in _variables().items() if "validation {" not in body}

    assert unchecked == {"api_account_role", "move_alias", "snap_start"}


def test_every_expression_of_the_stage_has_its_variable() -> None:
    used = re.findall(r"\$\{var\.(\w+)\}", json.dumps(_config()["stages"]["terraform"]))

    assert len(used) >= 15
    assert set(used) <= set(_variables())


def test_defaults_are_those_of_the_settings() -> None:
    for name, field in Settings.model_fields.items():
        written = re.search(r"^  default +=\s*(.+)$", _variables().get(name, ""), re.MULTILINE)
        if name.startswith("router_") and written is not None:
            assert json.loads(written[1]) == field.default, name


def test_the_functions_shape_is_chalices() -> None:
    config, variables = _config(), _variables()

    for name, key in (
        ("timeout", "lambda_timeout"),
        ("memory_size", "lambda_memory_size"),
        ("api_stage_name", "api_gateway_stage"),
        ("app_name", "app_name"),
    ):
        written = re.search(r"^  default +=\s*(.+)$", variables[name], re.MULTILINE)
        assert written is not None
        assert json.loads(written[1]) == config[key]


def test_alarms_and_charts_name_metrics_that_exist() -> None:
    alarms = (HAND_WRITTEN / "alarms.tf").read_text()
    charts = re.findall(r"\[local\.own_namespace, \"(\w+)\"", alarms)
    watched = re.findall(r"own_namespace\n +metric(?:_name)? += \"(\w+)\"", alarms)
    slugs = {problem.slug() for problem in _problems(Problem)}
    queue_problems = re.search(r"queue_problems = (\[.*\])", alarms)

    assert f'own_namespace = "{NAMESPACE}"' in alarms
    assert f'own_service   = "{SERVICE}"' in alarms
    assert {*watched, *charts} <= set(Metric)
    assert {"Latency", "RequestsRefused"} <= set(watched)
    assert queue_problems is not None
    assert set(json.loads(queue_problems[1])) <= slugs


def _problems(base: type[Problem]) -> list[type[Problem]]:
    return [found for each in base.__subclasses__() for found in [each, *_problems(each)]]


def test_checkov_passes_over_what_is_listed_and_no_more() -> None:
    assert set(re.findall(r"checkov:skip=(\w+): \S+", _all_tf())) == set(EXCEPTIONS)


@pytest.mark.parametrize("check", EXCEPTIONS)
def test_the_reason_of_an_exception_is_tested(check: str) -> None:
    life = (Path(__file__).parent / "test_life.py").read_text()

    assert EXCEPTIONS[check] in "\n".join([life, *_written(".tftest.hcl").values()])


def test_checkov_finds_nothing_else(tmp_path: Path) -> None:
    checkov = shutil.which("checkov")
    if checkov is None:
        pytest.skip("no checkov on PATH: `pip install checkov`, in an environment of its own")
    ran = subprocess.run(
        [
            *(checkov, "-d", str(HAND_WRITTEN), "--framework", "terraform", "--skip-download", "--quiet"),
            *("--skip-path", "chalice.tf.json", "--skip-path", r"\.terraform/", "--output", "json"),
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    said = json.loads(ran.stdout)

    assert said["summary"]["failed"] == 0, [each["check_id"] for each in said["results"]["failed_checks"]]


def test_no_secret_is_looked_up() -> None:
    assert re.findall(r'data "(aws_ssm_parameter|aws_ssm_parameters_by_path|aws_secretsmanager\w+)"', _all_tf()) == []


def test_no_action_has_a_wildcard() -> None:
    assert re.findall(r'"[a-z0-9]+:[A-Za-z]*\*"', _all_tf()) == []


def test_versions_are_pinned() -> None:
    for name in ("", "bootstrap/"):
        assert 'version     = "5.100.0"' in (HAND_WRITTEN / f"{name}.terraform.lock.hcl").read_text()
        text = (HAND_WRITTEN / f"{name}terraform.tf").read_text()
        assert 'required_version = ">= 1.10"' in text
        assert 'version = "~> 5.100"' in text


def test_the_state_is_locked_in_s3() -> None:
    backend = (HAND_WRITTEN / "backend.tf").read_text()

    assert "use_lockfile = true" in backend
    assert "dynamodb" not in backend


@pytest.mark.parametrize("module", MODULES)
def test_the_tables_in_its_readme_are_current(module: str) -> None:
    text = (HAND_WRITTEN / module / "README.md").read_text()

    assert text.split("<!-- tables -->\n")[1].split("\n<!-- end -->")[0] == tables(HAND_WRITTEN / module)
