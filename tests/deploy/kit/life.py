"""The stack's whole life, once for every test: the roles, the first apply, changes of all kinds, the end.

Real Terraform, the real AWS provider, moto for AWS; what was asked of AWS is recorded phase by phase.
"""

import copy
import json
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.deploy.cloud.account_wide import let_gateway_log, let_github_in
from tests.deploy.cloud.inventory import REGION, client, inventory
from tests.deploy.cloud.recorder import Recording
from tests.deploy.cloud.user_pool import make_pool
from tests.deploy.conftest import VARIABLES, initialised
from tests.deploy.kit.terraform_cli import Changes, Terraform, copy_of_terraform, write_chalice, write_zip

ACCOUNT = "123456789012"
NAME = "lambda-router-prod"
STATE_BUCKET = "state"
STATE_KEY = "lambda-router/prod.tfstate"
SECRET = "rediss://user:this-is-the-secret@redis.example.com:6379/0"
KEY = f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"
#: What bootstrap is given: all that widens a role.
ROLES: dict[str, Any] = {
    "aws_region": "eu-central-1",
    "stage_name": "prod",
    "state_bucket": STATE_BUCKET,
    "github": {
        "owner": "octo",
        "repository": "router",
        "environment": "prod",
        "vpc": True,
        "kms_key_arns": [KEY],
    },
}
STACK = VARIABLES | {"permissions_boundary_arn": f"arn:aws:iam::{ACCOUNT}:policy/{NAME}-boundary"}
DOMAIN = "api.example.com"
CERTIFICATE = f"arn:aws:acm:eu-central-1:{ACCOUNT}:certificate/11111111-2222-3333-4444-555555555555"
#: A variable for every resource that one can change, and two overrides for those that none can.
CHANGED = STACK | {
    "alarm_thresholds": {"throttles": 7},
    "default_endpoint": False,
    "log_retention_days": 30,
    "memory_size": 1024,
    "method_metrics": True,
    "reserved_concurrency": -1,
    "router_queue_cap": 5,
    "tags": {"Owner": "somebody", "Team": "one"},
    "throttling_rate_limit": 10,
    "warm_schedule": "rate(10 minutes)",
}
RETURNED = STACK | {"router_queue_cap": 5, "tags": {"Team": "two"}, "tracing": True}
_OVERRIDES = {
    "changed_override.tf": """
resource "aws_cloudwatch_dashboard" "overview" {
  dashboard_body = jsonencode({ widgets = [] })
}
resource "aws_cloudwatch_event_target" "warm" {
  input = jsonencode({ changed = true })
}
resource "aws_lambda_function_event_invoke_config" "live" {
  maximum_retry_attempts = 1
}
""",
    "modules/iam/changed_override.tf": """
resource "aws_iam_role" "runtime" {
  description          = "Changed."
  max_session_duration = 7200
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "lambda.amazonaws.com" } }]
  })
}
resource "aws_iam_role_policy" "runtime" {
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Deny", Action = "*", Resource = "*" }]
  })
}
""",
}


@dataclass
class Life:
    """What Terraform did at each step, what it asked AWS, and what AWS held then.

    Attributes:
        folder: the copy of ``terraform/`` that it happened in.
        plans: each plan that was saved and then applied, as ``terraform show -json`` gives it.
        recording: phases ``NAME`` of applies, ``plan NAME`` of plans.
        credentials: of each role, as variables of the environment.
        zone: id of the Route 53 zone that the custom domain is in.
        pool: the user pool that the roles may look at; ``id``, ``arn`` and ``client``.
    """

    url: str
    folder: Path
    recording: Recording
    changes: dict[str, Changes] = field(default_factory=dict)
    plans: dict[str, dict[str, Any]] = field(default_factory=dict)
    held: dict[str, Any] = field(default_factory=dict)
    credentials: dict[str, dict[str, str]] = field(default_factory=dict)
    pool: dict[str, str] = field(default_factory=dict)
    zone: str = ""
    state: str = ""

    def domain(self, path: str) -> dict[str, Any]:
        """The stack's custom domain with that base path."""
        return {"name": DOMAIN, "certificate_arn": CERTIFICATE, "base_path": path, "zone_id": self.zone}


def live(folder: Path, url: str, chalice: dict[str, Any], *, whole: bool) -> Life:
    """Live it.

    Args:
        whole: also change everything that can be changed, and back, which is for the permissions only.

    Raises:
        pytest.Skipped: the provider cannot be had.
    """
    client("s3", url).create_bucket(
        Bucket=STATE_BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    client("s3", url).put_bucket_versioning(Bucket=STATE_BUCKET, VersioningConfiguration={"Status": "Enabled"})
    client("ssm", url).put_parameter(Name=VARIABLES["redis_url_parameter"], Type="SecureString", Value=SECRET)
    stack = copy_of_terraform(folder, chalice)
    life = Life(url, stack.folder, Recording(url))
    life.pool = make_pool(url, NAME)
    zone = client("route53", url).create_hosted_zone(Name="example.com", CallerReference="life")["HostedZone"]
    life.zone = zone["Id"].removeprefix("/hostedzone/")
    stack.environ = {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "TF_CLI_CONFIG_FILE": str(folder / "terraform.rc"),
    }
    let_github_in(lambda service: client(service, url))
    let_gateway_log(lambda service: client(service, url))
    _make_roles(life, stack)
    with life.recording.phase("init"):
        initialised(stack, *backend(STATE_KEY))
    with ThreadPoolExecutor() as aside:
        steps = _Steps(life, stack, chalice, aside)
        steps.begin()
        if whole:
            steps.change_everything()
        steps.end()
    return life


@dataclass
class _Steps:
    life: Life
    stack: Terraform
    chalice: dict[str, Any]
    aside: ThreadPoolExecutor
    shown: dict[str, Future[dict[str, Any]]] = field(default_factory=dict)
    variables: dict[str, Any] = field(default_factory=lambda: STACK | {"router_queue_cap": 5})

    def begin(self) -> None:
        held, url = self.life.held, self.life.url
        held["before"] = inventory(url)
        self._saved("create", **STACK)
        held["created"] = serving(url)
        self._planned("again", **STACK)

        write_zip(self.stack.folder, "def app(event, context): return {'statusCode': 200, 'body': '2'}\n")
        self._applied("code", **STACK)
        write_chalice(self.stack.folder, _with_another_route(self.chalice))
        self._applied("route", **STACK)
        self._applied("variable", **self.variables)
        self._planned("in the end", **self.variables)

    def change_everything(self) -> None:
        write_zip(self.stack.folder, "def app(event, context): return {'statusCode': 200, 'body': '3'}\n")
        for name, text in _OVERRIDES.items():
            (self.stack.folder / name).write_text(text)
        self._saved("everything", **CHANGED, custom_domain=self.life.domain("router"))
        for name in _OVERRIDES:
            (self.stack.folder / name).unlink()
        self.variables = RETURNED | {"custom_domain": self.life.domain("other")}
        self._saved("back", **self.variables)

    def end(self) -> None:
        held, url = self.life.held, self.life.url
        self.life.state = client("s3", url).get_object(Bucket=STATE_BUCKET, Key=STATE_KEY)["Body"].read().decode()

        self._saved("destroy", "-destroy", **self.variables)
        held["after"] = inventory(url)
        held["objects"] = client("s3", url).list_objects_v2(Bucket=STATE_BUCKET)["Contents"]
        self.life.plans = {name: future.result() for name, future in self.shown.items()}

    def _saved(self, name: str, *options: str, **variables: Any) -> None:
        """Plan into a file and apply that; what it says is read meanwhile."""
        plan = f"{name}.tfplan"
        with self.life.recording.phase(f"plan {name}"):
            planned = self.stack.save(plan, *options, **variables)
        self.shown[name] = self.aside.submit(self.stack.shown, plan)
        with self.life.recording.phase(name):
            applied = self.stack.apply_saved(plan)
        warnings = [*planned.warnings, *applied.warnings]
        self.life.changes[name] = Changes(planned.actions, applied.count, warnings, planned.outputs)

    def _planned(self, name: str, **variables: Any) -> None:
        with self.life.recording.phase(f"plan {name}"):
            self.life.changes[name] = self.stack.plan(**variables)

    def _applied(self, name: str, **variables: Any) -> None:
        with self.life.recording.phase(name):
            self.life.changes[name] = self.stack.apply(**variables)
        self.life.held[name] = serving(self.life.url)


def _make_roles(life: Life, stack: Terraform) -> None:
    bootstrap = Terraform(stack.folder / "bootstrap", stack.environ)
    initialised(bootstrap, *backend("lambda-router/prod-bootstrap.tfstate"))
    github = ROLES["github"] | {"user_pool_arn": life.pool["arn"], "custom_domain": life.domain("")}
    bootstrap.apply(**ROLES | {"github": github})
    for role in ("plan", "deploy", "canary"):
        given = client("sts", life.url).assume_role(
            RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{NAME}-{role}", RoleSessionName="test"
        )["Credentials"]
        life.credentials[role] = {
            "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
            "AWS_SESSION_TOKEN": given["SessionToken"],
        }


def backend(key: str, region: str = REGION) -> list[str]:
    """Options of ``terraform init``."""
    options = (f"bucket={STATE_BUCKET}", f"key={key}", f"region={region}", "use_path_style=true")
    return [f"-backend-config={option}" for option in options]


def _with_another_route(chalice: dict[str, Any]) -> dict[str, Any]:
    changed = copy.deepcopy(chalice)
    body = json.loads(changed["locals"]["chalice_api_swagger"])
    body["paths"]["/v2/health"] = body["paths"]["/health"]
    changed["locals"]["chalice_api_swagger"] = json.dumps(body)
    return changed


def serving(url: str) -> dict[str, Any]:
    """What a caller would meet."""
    gateway, function, parameters = client("apigateway", url), client("lambda", url), client("ssm", url)
    api = gateway.get_rest_apis()["items"][0]
    stage = gateway.get_stage(restApiId=api["id"], stageName="api")
    alias = function.get_alias(FunctionName=NAME, Name="live")
    paths = parameters.get_parameters_by_path(Path="/lambda-router/prod/outputs")["Parameters"]
    resources = gateway.get_resources(restApiId=api["id"], limit=500, embed=["methods"])["items"]
    return {
        "api": api["id"],
        "deployment": stage["deploymentId"],
        "version": alias["FunctionVersion"],
        "routes": {each["path"] for each in resources},
        "integrations": {
            each["path"]: each["resourceMethods"]["ANY"]["methodIntegration"]
            for each in resources
            if each.get("resourceMethods")
        },
        "told": {each["Name"].rpartition("/")[2]: each["Value"] for each in paths},
        "policy": json.loads(function.get_policy(FunctionName=NAME, Qualifier="live")["Policy"]),
        "stream": {
            "version": function.get_alias(FunctionName=f"{NAME}-stream", Name="live")["FunctionVersion"],
            "policy": json.loads(function.get_policy(FunctionName=f"{NAME}-stream", Qualifier="live")["Policy"]),
        },
        "environment": function.get_function_configuration(FunctionName=NAME)["Environment"]["Variables"],
        "targets": client("events", url).list_targets_by_rule(Rule=f"{NAME}-warm")["Targets"],
        "retention": {
            each["logGroupName"]: each.get("retentionInDays")
            for each in client("logs", url).describe_log_groups()["logGroups"]
        },
    }
