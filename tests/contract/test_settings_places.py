"""One truth for settings: what is written from it, and how a missing, extra or misspelt one is named and mended."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from chalicelib.settings import Settings
from tests.contract.repository import ROOT, page
from tools.docs import __main__ as docs
from tools.docs import stages, terraform, workflows
from tools.docs.check import check
from tools.stack.findings import Finding

WORKFLOW = ".github/workflows/deploy.yml"
_WORKFLOW_TEXT = """jobs:
  plan:
    env:
      TF_VAR_aws_region: ${{ vars.AWS_REGION }}
      # generated: settings
      # end
    steps:
      - run: make plan
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The places that name settings, and a workflow that plans."""
    for name in (".chalice/config.json", ".env.example", "terraform/settings.tf", "terraform/variables.tf"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / ".github/workflows").mkdir(parents=True)
    (tmp_path / WORKFLOW).write_text(workflows.with_settings(_WORKFLOW_TEXT))
    return tmp_path


def faults(root: Path) -> list[Finding]:
    return [finding for finding in check(root) if not finding.ok]


def change(root: Path, name: str, pattern: str, by: str) -> None:
    changed, count = re.subn(pattern, by, (root / name).read_text(), count=1, flags=re.MULTILINE)
    assert count == 1
    (root / name).write_text(changed)


def mend(root: Path, fix: str) -> None:
    """Do what was printed; ``make settings`` is what ``tools.docs`` writes."""
    if fix == "make settings":
        for name, text in docs.stale(root):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
    else:
        subprocess.run(fix, shell=True, cwd=root, check=True)


def without_pages(root: Path) -> None:
    """The pages and the script that hold generated blocks, so that ``tools.docs`` can write there."""
    for folder in ("docs", "vendor"):
        shutil.copytree(ROOT / folder, root / folder)


def named_line(root: Path, finding: Finding) -> str:
    """The text of the line that a finding names."""
    path, _, line = finding.thing.split(" ")[0].partition(":")
    return (root / path).read_text().splitlines()[int(line) - 1]


#: File, what is done to it, the line that has to be named, and what has to be said of it.
MISTAKES = {
    "missing in a stage": (
        ".chalice/config.json",
        r'^ +"ROUTER_QUEUE": "tinyllama",\n',
        "",
        '"environment_variables"',
        "ROUTER_QUEUE is missing",
    ),
    "extra in a stage": (
        ".chalice/config.json",
        r'^( +)"ROUTER_QUEUE": "tinyllama",\n',
        r'\g<0>\1"ROUTER_COLOUR": "blue",\n',
        '"ROUTER_COLOUR"',
        "ROUTER_COLOUR is not a setting",
    ),
    "extra at the end of a stage": (
        ".chalice/config.json",
        r'^( +)"ROUTER_MAX_TOKENS": "4096"\n',
        r'\1"ROUTER_MAX_TOKENS": "4096",\n\1"COLOUR": "blue"\n',
        '"COLOUR"',
        "COLOUR is not a setting",
    ),
    "misspelt in an expression": (
        ".chalice/config.json",
        r"\$\{var\.cognito_aud\}",
        "${var.cognito_audd}",
        "var.cognito_audd",
        "cognito_audd is not a setting; did you mean cognito_aud?",
    ),
    "misspelt in Terraform": (
        "terraform/settings.tf",
        r'^variable "router_queue_cap"',
        'variable "router_queue_kap"',
        '"router_queue_kap"',
        "router_queue_kap is not a setting; did you mean router_queue_cap?",
    ),
    "extra in Terraform": (
        "terraform/variables.tf",
        r"\Z",
        '\nvariable "router_colour" {\n  type = string\n}\n',
        '"router_colour"',
        "router_colour is not a setting",
    ),
    "missing in the workflow": (
        WORKFLOW,
        r"^ +TF_VAR_cognito_aud: .*\n",
        "",
        "# generated: settings",
        "cognito_aud is missing",
    ),
    "misspelt in the workflow": (
        WORKFLOW,
        r"TF_VAR_redis_url_parameter",
        "TF_VAR_redis_url_paramter",
        "TF_VAR_redis_url_paramter",
        "redis_url_paramter is not a setting; did you mean redis_url_parameter?",
    ),
    "twice in the example environment": (
        ".env.example",
        r"\Z",
        "ROUTER_QUEUE=other\n",
        "ROUTER_QUEUE=other",
        "ROUTER_QUEUE is set twice",
    ),
}


@pytest.mark.parametrize(("name", "pattern", "by", "line", "said"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named_with_its_line_and_mended_by_the_printed_command(
    copy: Path, name: str, pattern: str, by: str, line: str, said: str
) -> None:
    without_pages(copy)
    change(copy, name, pattern, by)

    found = faults(copy)

    assert [each.found for each in found] == [said]
    assert line in named_line(copy, found[0])
    assert found[0].why
    mend(copy, found[0].fix)
    assert faults(copy) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ROUTER_COLOUR=blue\n", "ROUTER_COLOUR is not a setting"),
        ("# mine\nexport COGNITO_AUDS=x\n", "COGNITO_AUDS is not a setting; did you mean COGNITO_AUD?"),
        ("ROUTR_QUEUE=x\n", "ROUTR_QUEUE is not a setting; did you mean ROUTER_QUEUE?"),
    ],
)
def test_an_extra_variable_in_a_persons_environment_is_named(copy: Path, text: str, said: str) -> None:
    (copy / ".env").write_text(text)

    assert [(each.thing, each.found) for each in faults(copy)] == [(f".env:{text.count(chr(10))}", said)]
    mend(copy, faults(copy)[0].fix)
    assert faults(copy) == []


def test_a_persons_environment_may_set_little_and_what_is_not_ours(copy: Path) -> None:
    (copy / ".env").write_text("COGNITO_AUD=x\nAWS_PROFILE=me\nWORKER_CONCURRENCY=2\n")

    assert faults(copy) == []


def test_a_workflow_that_sets_some_by_hand_has_to_set_all(copy: Path) -> None:
    (copy / WORKFLOW).write_text("env:\n  TF_VAR_cognito_aud: ${{ vars.COGNITO_AUD }}\n")

    named = [each.found for each in faults(copy)]

    assert len(named) == len(terraform.variables()) - 1
    assert "redis_url_parameter is missing" in named


def test_a_workflow_without_variables_of_terraform_has_nothing_to_set(copy: Path) -> None:
    (copy / WORKFLOW).write_text("env:\n  TF_VAR_aws_region: eu-central-1\n")

    assert faults(copy) == []


def test_this_repository_names_every_setting_everywhere() -> None:
    assert faults(ROOT) == []


def test_a_workflow_keeps_the_default_where_github_has_no_variable() -> None:
    env = yaml.safe_load(workflows.with_settings(_WORKFLOW_TEXT))["jobs"]["plan"]["env"]

    assert list(env) == ["TF_VAR_aws_region", *(f"TF_VAR_{name}" for name in terraform.variables())]
    assert env["TF_VAR_cognito_aud"] == "${{ vars.COGNITO_AUD }}"
    assert env["TF_VAR_router_queue_cap"] == "${{ vars.ROUTER_QUEUE_CAP || '10000' }}"


def _with_workflow(rewrite: Callable[[str], str]) -> str:
    return rewrite(rewrite(_WORKFLOW_TEXT))


def test_writing_a_workflow_twice_changes_nothing_more() -> None:
    assert _with_workflow(workflows.with_settings) == workflows.with_settings(_WORKFLOW_TEXT)


def test_a_missing_key_of_a_stage_is_filled_in_with_the_default_and_values_stay() -> None:
    text = page(".chalice/config.json").replace('        "ROUTER_QUEUE_CAP": "10000",\n', "", 1)
    text = text.replace('"COGNITO_AUD": "local-client"', '"COGNITO_AUD": "mine"')

    filled = stages.filled_in(text)

    assert filled == page(".chalice/config.json").replace('"local-client"', '"mine"')


def test_every_setting_but_secrets_the_gateways_shape_and_the_stacks_name_is_a_variable_of_terraform() -> None:
    others = set(Settings.model_fields) - set(terraform.variables())

    assert others == {"redis_url", "router_cors_origin", "router_stack", "router_waits_cap"}
    assert set(terraform.LOCALS) <= others


def test_a_text_in_hcl_is_no_expression() -> None:
    assert terraform.quoted('a ${b} %{c} "d"') == '"a $${b} %%{c} \\"d\\""'
