"""The hand-written Terraform: its style, its own tests, and whether it says the same as the code."""

import json
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from chalicelib.errors import Problem
from chalicelib.partitions import BY_PREFIX, PREFIXES_WITHOUT_USER_POOLS, REGION_PATTERN, WITHOUT_USER_POOLS
from lambda_router_queue.metrics import NAMESPACE, SERVICE, Metric
from tests.contract.repository import ROOT, fences, files, name_of, page
from tests.deploy.conftest import initialised
from tests.deploy.kit.terraform_cli import HAND_WRITTEN, Terraform, cli_configuration
from tools.docs.terraform import quoted
from tools.docs.terraform import variables as settings_variables
from tools.stack.declarations import blocks

pytestmark = pytest.mark.timeout(360)

MODULES = [
    "",
    "bootstrap",
    "examples/complete",
    "modules/cognito",
    "modules/elasticache",
    "modules/iam",
    "modules/pages_client",
    "modules/ssm",
    "modules/valkey",
]

#: Root modules that call the stack as a module.
EXAMPLES = ["examples/complete"]

#: Modules with write-only arguments, which Terraform has since 1.11.
WRITE_ONLY = {"examples/complete", "modules/elasticache", "modules/valkey"}

#: What 6.0.0 of the AWS provider took from the resources used here: its CHANGELOG.md, "BREAKING CHANGES", and
#: https://registry.terraform.io/providers/hashicorp/aws/latest/docs/guides/version-6-upgrade.
REMOVED_IN_6: dict[str, set[str]] = {
    "aws_api_gateway_account": {"reset_on_delete"},
    "aws_api_gateway_base_path_mapping": set(),
    "aws_api_gateway_deployment": {"canary_settings", "execution_arn", "invoke_url", "stage_description", "stage_name"},
    "aws_api_gateway_domain_name": set(),
    "aws_api_gateway_method_settings": set(),
    "aws_api_gateway_rest_api": set(),
    "aws_api_gateway_stage": set(),
    "aws_cloudwatch_dashboard": set(),
    "aws_cloudwatch_event_rule": set(),
    "aws_cloudwatch_event_target": set(),
    "aws_cloudwatch_log_group": set(),
    "aws_cloudwatch_metric_alarm": set(),
    "aws_cognito_resource_server": set(),
    "aws_cognito_user_pool": set(),
    "aws_cognito_user_pool_client": set(),
    "aws_cognito_user_pool_domain": set(),
    "aws_default_security_group": set(),
    "aws_dlm_lifecycle_policy": set(),
    "aws_ebs_volume": set(),
    "aws_eip": {"vpc"},
    "aws_eip_association": set(),
    "aws_elasticache_parameter_group": set(),
    "aws_elasticache_replication_group": set(),
    "aws_elasticache_subnet_group": set(),
    "aws_elasticache_user": set(),
    "aws_elasticache_user_group": set(),
    "aws_iam_instance_profile": set(),
    "aws_iam_policy": set(),
    "aws_iam_role": set(),
    "aws_iam_role_policy": set(),
    "aws_iam_role_policy_attachment": set(),
    "aws_instance": {"cpu_core_count", "cpu_threads_per_core"},
    "aws_internet_gateway": set(),
    "aws_lambda_alias": set(),
    "aws_lambda_function": set(),
    "aws_lambda_function_event_invoke_config": set(),
    "aws_lambda_permission": set(),
    "aws_route53_record": set(),
    "aws_route_table": set(),
    "aws_route_table_association": set(),
    "aws_security_group": set(),
    "aws_ssm_parameter": set(),
    "aws_subnet": set(),
    "aws_volume_attachment": set(),
    "aws_vpc": set(),
    "aws_vpc_endpoint": set(),
    "aws_vpc_security_group_egress_rule": set(),
    "aws_vpc_security_group_ingress_rule": set(),
}


#: Attributes that the same guide, or 5.100's own documentation, calls deprecated, of the types used here.
DEPRECATED: dict[str, set[str]] = {
    "aws_cloudwatch_event_rule": {"is_enabled"},
    "aws_eip": {"vpc"},
    "aws_iam_role": {"inline_policy", "managed_policy_arns"},
    "aws_instance": {"cpu_core_count", "cpu_threads_per_core", "network_interface"},
    "aws_region": {"name"},
    "aws_ssm_parameter": {"overwrite"},
}


def _written(suffix: str) -> dict[str, str]:
    return {name_of(path): path.read_text() for path in files(suffix) if name_of(path).startswith("terraform/")}


def _all_tf() -> str:
    return "\n".join(_written(".tf").values())


def _config() -> dict[str, Any]:
    return dict(json.loads((ROOT / ".chalice/config.json").read_text()))


def _variables(module: str = "") -> dict[str, str]:
    files = [HAND_WRITTEN / module / name for name in ("variables.tf", "settings.tf")]
    return {name: body for path in files if path.exists() for _, name, body in blocks(path.read_text())}


def test_it_is_formatted(terraform: None, tmp_path: Path) -> None:
    cli_configuration(tmp_path)
    copy = shutil.copytree(HAND_WRITTEN, tmp_path / "terraform", ignore=shutil.ignore_patterns(".terraform"))

    assert Terraform(copy).run("fmt", "-check", "-recursive", "-diff", "-no-color", fails=True).said == ""


@pytest.mark.parametrize("module", MODULES)
def test_null_is_only_taken_where_it_is_the_default(module: str) -> None:
    taken = {name for name, body in _variables(module).items() if not re.search(r"^  nullable += false$", body, re.M)}

    assert taken == {name for name, body in _variables(module).items() if re.search(r"^  default += null$", body, re.M)}


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
    ran = root_module.run("test", "-json", fails=True, timeout=300)
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

    settings = set(settings_variables())
    own = [name for name in variables if module or name not in settings]
    assert own == sorted(own)
    for name, body in variables.items():
        assert re.search(r"^  type +=", body, re.MULTILINE), name
        assert re.search(r'^  description = ".+\."$', body, re.MULTILINE), name


def test_every_variable_that_can_be_wrong_is_checked() -> None:
    unchecked = {name for name, body in _variables().items() if "validation {" not in body}

    assert unchecked == {"method_metrics", "move_alias", "snap_start", "streaming", "tracing"}


def test_every_expression_of_the_stage_has_its_variable() -> None:
    used = re.findall(r"\$\{var\.(\w+)\}", json.dumps(_config()["stages"]["terraform"]))

    assert len(used) >= 15
    assert set(used) <= set(_variables())


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


def test_nothing_can_name_another_processor_than_the_packages() -> None:
    named = [line.split() for line in _all_tf().splitlines() if "architecture" in line]

    assert named == [["architectures", "=", "aws_lambda_function.api_handler.architectures"]]


def test_alarms_and_charts_name_metrics_that_exist() -> None:
    alarms = (HAND_WRITTEN / "alarms.tf").read_text()
    charts = re.findall(r"\[local\.own_namespace, \"(\w+)\"", alarms)
    watched = re.findall(r"(?:own_namespace|label +=.*)\n +metric += \"(\w+)\"", alarms)
    slugs = {problem.slug() for problem in _problems(Problem)}
    queue_problems = re.search(r"queue_problems = (\[.*\])", alarms)

    assert f'own_namespace  = "{NAMESPACE}"' in alarms
    assert f'own_dimensions = {{ service = "{SERVICE}", stack = local.name }}' in alarms
    assert {*watched, *charts} <= set(Metric)
    assert {"Latency", "RequestsRefused", "JobsFailed"} <= set(watched)
    assert queue_problems is not None
    assert set(json.loads(queue_problems[1])) <= slugs


def _problems(base: type[Problem]) -> list[type[Problem]]:
    return [found for each in base.__subclasses__() for found in [each, *_problems(each)]]


def test_no_secret_is_looked_up() -> None:
    """What AWS and Debian publish for everybody is none, such as the newest image."""
    looked_up = r'data "(?:aws_ssm_parameter|aws_ssm_parameters_by_path|aws_secretsmanager\w+)" .*?\n\}'
    found = re.findall(looked_up, _all_tf(), re.DOTALL)

    assert [text for text in found if not re.search(r'^  name += "/aws/service/', text, re.MULTILINE)] == []


def test_no_action_has_a_wildcard() -> None:
    assert re.findall(r'"[a-z0-9]+:[A-Za-z]*\*"', _all_tf()) == []


def test_the_modules_are_usable_alone(terraform: None, tmp_path: Path) -> None:
    cli_configuration(tmp_path)
    alone = tmp_path / "elsewhere"
    shutil.copytree(HAND_WRITTEN / "modules", alone, ignore=shutil.ignore_patterns(".terraform"))
    names = [module.removeprefix("modules/") for module in MODULES if module.startswith("modules/")]
    examples = [fences((alone / name / "README.md").read_text(), "hcl")[0] for name in names]
    text = re.sub(r"aws_[a-z_]+\.\w+\.\w+|module\.\w+\.\w+(\[.*?\])?|var\.\w+", "var.given", "\n".join(examples))
    (alone / "main.tf").write_text(f'variable "given" {{}}\n{text.replace("./modules/", "./")}')
    module = initialised(Terraform(alone), "-backend=false")

    said = json.loads(module.run("validate", "-json", fails=True).out)
    assert (said["valid"], said["warning_count"]) == (True, 0), said["diagnostics"]


def test_nothing_is_used_that_provider_6_removed() -> None:
    """A type that is not listed was not yet looked up in the changelog of 6.0.0."""
    golden = json.loads((ROOT / "tests/deploy/golden/chalice.tf.json").read_text())
    blocks = re.findall(r'^resource "(\w+)" .*?\{\n(.*?)^\}', _all_tf(), re.MULTILINE | re.DOTALL)
    written = [(kind, set(re.findall(r"^  (?:dynamic \")?(\w+)\"? ", body, re.MULTILINE))) for kind, body in blocks]
    made = [(kind, set(each)) for kind, named in golden["resource"].items() for each in named.values()]

    assert {kind for kind, _ in [*written, *made]} <= set(REMOVED_IN_6)
    assert [(kind, name) for kind, names in [*written, *made] for name in sorted(names & REMOVED_IN_6[kind])] == []
    assert (
        re.findall(r"aws_api_gateway_deployment\.\w+\.(?:invoke_url|execution_arn)", _all_tf() + json.dumps(golden))
        == []
    )


def test_every_optional_feature_of_the_runtime_role_is_held_against_the_boundary() -> None:
    """A feature that the run below leaves out could be forbidden by the boundary, unseen."""
    members, _, _ = _variables("modules/iam")["runtime"].partition("\n  })")
    features = set(re.findall(r"^    (\w+) += ", members, re.MULTILINE))
    _, _, run = (
        (HAND_WRITTEN / "tests/iam.tftest.hcl").read_text().partition('run "boundary_holds_the_whole_runtime_role"')
    )
    _, _, given = run.partition("runtime = {")
    set_there = set(re.findall(r"^      (\w+) += ", given.partition("    }")[0], re.MULTILINE))

    assert len(features) >= 6
    assert set_there == features


def test_no_deprecated_attribute_is_set_or_read() -> None:
    """`terraform validate` warns of those that the provider on this machine deprecates, not of what 6 does."""
    golden = (ROOT / "tests/deploy/golden/chalice.tf.json").read_text()
    blocks = re.findall(r'^(?:resource|data) "(\w+)" .*?\{\n(.*?)^\}', _all_tf(), re.MULTILINE | re.DOTALL)
    set_here = {(kind, name) for kind, body in blocks for name in re.findall(r"^  (\w+) +=", body, re.MULTILINE)}
    read = set(re.findall(r"\b(aws_\w+)\.\w+(?:\[[^\]]+\])?\.(\w+)", _all_tf() + golden))

    assert ("aws_region", "id") in read
    assert ("aws_iam_role", "assume_role_policy") in set_here
    deprecated = {(kind, name) for kind, names in DEPRECATED.items() for name in names}
    assert (set_here | read) & deprecated == set()


def test_versions_are_pinned() -> None:
    for name in ("", "bootstrap/", "examples/complete/"):
        lock = (HAND_WRITTEN / f"{name}.terraform.lock.hcl").read_text()
        assert 'version     = "5.100.0"' in lock
        assert 'constraints = ">= 5.100.0, < 7.0.0"' in lock
    for module in MODULES:
        # The well-known modules call this file versions.tf in their examples.
        text = (HAND_WRITTEN / module / ("versions.tf" if module in EXAMPLES else "terraform.tf")).read_text()
        assert f'required_version = ">= {"1.11" if module in WRITE_ONLY else "1.10"}"' in text
        assert 'version = ">= 5.100, < 7"' in text


@pytest.mark.parametrize("folder", ["", "bootstrap", *EXAMPLES], ids=["stack", "bootstrap", *EXAMPLES])
def test_every_platform_of_the_provider_is_locked(folder: str) -> None:
    """14 platforms: an archive (``zh:``) each and their list of files; an unpacked folder (``h1:``) each."""
    kinds = re.findall(r'"(zh|h1):', (HAND_WRITTEN / folder / ".terraform.lock.hcl").read_text())

    assert Counter(kinds) == {"zh": 15, "h1": 14}


@pytest.mark.parametrize("folder", ["", "bootstrap"], ids=["stack", "bootstrap"])
def test_init_takes_the_locked_provider_and_has_nothing_to_add_to_the_lock(folder: str, tmp_path: Path) -> None:
    cli_configuration(tmp_path)
    alone = Terraform(tmp_path / "terraform", {"TF_CLI_CONFIG_FILE": str(tmp_path / "terraform.rc")})
    alone.folder.mkdir()
    shutil.copy(HAND_WRITTEN / folder / "terraform.tf", alone.folder)
    lock = alone.folder / ".terraform.lock.hcl"
    shutil.copy(HAND_WRITTEN / folder / ".terraform.lock.hcl", lock)
    locked = lock.read_text()

    initialised(alone, "-backend=false", "-lockfile=readonly")
    assert lock.read_text() == locked
    initialised(alone, "-backend=false")
    assert lock.read_text() == locked
    # What a Mac met while the lock held the folder of one platform: Terraform takes no other.
    lock.write_text(re.sub(r'    "(zh:|h1:(?!Ijt7)).*\n', "", locked))
    shutil.rmtree(alone.folder / ".terraform")
    refused = alone.run("init", "-input=false", "-no-color", "-backend=false", "-lockfile=readonly", fails=True)
    assert refused.status == 1
    assert "#checksum-verification" in refused.said


def test_the_state_is_locked_in_s3() -> None:
    backend = (HAND_WRITTEN / "backend.tf").read_text()

    assert "use_lockfile = true" in backend
    assert "dynamodb" not in backend


@pytest.mark.parametrize("module", ["", "bootstrap"])
def test_regions_are_judged_as_in_the_code(module: str) -> None:
    region = _variables(module)["aws_region"]

    assert f"regex({quoted(f'^{REGION_PATTERN}$')}, var.aws_region)" in region
    assert f'!can(regex("^({"|".join(PREFIXES_WITHOUT_USER_POOLS)})", var.aws_region))' in region
    assert f"aws_region {WITHOUT_USER_POOLS}." in region


def test_every_partition_with_user_pools_has_a_host_for_the_login_pages() -> None:
    main = page("terraform/modules/cognito/main.tf")
    hosts = main.partition("login_hosts = {")[2].partition("}\n  domain_url")[0]

    named = {line.split("=")[0].strip() for line in hosts.splitlines() if "=" in line}
    assert named == {partition.name for partition in BY_PREFIX.values()}
