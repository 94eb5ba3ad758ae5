"""A stack from ``make package`` to its end, by the Makefile's own targets, each with the role that runs it in CI.

Real Terraform and the zip that ships; moto for AWS, where the roles are that the other life made.
"""

import io
import json
import shutil
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.deploy.cloud.front_door import FrontDoor
from tests.deploy.cloud.inventory import client, inventory
from tests.deploy.cloud.recorder import Recording
from tests.deploy.kit.clone import Clone
from tests.deploy.kit.life import NAME, STACK, STATE_KEY, Life, backend
from tests.deploy.kit.terraform_cli import Ran, Terraform
from tests.unit.peers import NO_NAME
from tools.package.writer import Sums, sums_of, unpack
from tools.release.__main__ import release
from tools.release.canary import Alarms, Canary
from tools.release.live_alias import LiveAlias
from tools.stack.options import Refused
from tools.stack.patience import Patience
from tools.stack.repository import SUMS, TERRAFORM, ZIP

ALARM = f"{NAME}-server-errors"
_OUTPUTS = "/lambda-router/prod/outputs"
#: The functions, and the parameters that tell which version of each serves.
_VERSIONS = {NAME: f"{_OUTPUTS}/function_version", f"{NAME}-stream": f"{_OUTPUTS}/stream_function_version"}


@dataclass
class Packaged:
    """What ``make package`` said and made."""

    said: str
    build: str
    sums: Sums
    document: str
    written_sums: str


@dataclass
class Journey:
    """What each step said, and what served after it.

    Attributes:
        recording: what each step asked of AWS as its role, by ``ROLE STEP``.
        watched: what served while a new version had its share.
        left: what the account held in the end.
    """

    clone: Clone
    recording: Recording
    packages: list[Packaged] = field(default_factory=list)
    said: dict[str, Ran] = field(default_factory=dict)
    served: dict[str, dict[str, Any]] = field(default_factory=dict)
    watched: list[dict[str, Any]] = field(default_factory=list)
    left: dict[str, list[str]] = field(default_factory=dict)


def travel(life: Life, root: Path, redis_url: str, jwks: dict[str, Any]) -> Journey:
    """From the first package to the last resource.

    Args:
        jwks: the keys of the stack's tokens, as a function without a way to Cognito holds them.
    """
    clone = Clone.into(root)
    _prepare(life, clone, redis_url)
    journey = Journey(clone, Recording(life.url))
    tasks: dict[str, Path] = {}
    with FrontDoor(tasks.__getitem__, life.url, NAME, "live") as door:
        steps = _Steps(life, journey, tasks, door.url, json.dumps(jwks))
        steps.first()
        steps.wrong()
        steps.back_and_forth()
        steps.kept()
        steps.gradually()
        steps.probed()
        steps.pruned()
        steps.end()
    return journey


def _prepare(life: Life, clone: Clone, redis_url: str) -> None:
    """Steps 1 to 3 of docs/deploy.md, as far as the life did not see to them."""
    client("ssm", life.url).put_parameter(
        Name=STACK["redis_url_parameter"], Type="SecureString", Value=redis_url, Overwrite=True
    )
    shutil.copy(life.folder.parent / "terraform.rc", clone.root)
    clone.environ.update({"AWS_ENDPOINT_URL": life.url, "TF_CLI_CONFIG_FILE": str(clone.root / "terraform.rc")})


@dataclass
class _Steps:
    life: Life
    journey: Journey
    tasks: dict[str, Path]
    url: str
    jwks: str

    def first(self) -> None:
        self.package()
        self.set()
        self.terraform.init(*backend(STATE_KEY))
        self.make("too early", target="apply")
        self.make("doctor", role="plan")
        self.make("plan", f"ROLE={NAME}-deploy", "DETAILS=1", role="plan")
        self.make("apply", self.door)
        self.make("verify", self.door, role="plan")
        self.make("drift", self.door, role="plan")

    def wrong(self) -> None:
        """New code, and a route that somebody made by hand, which only verify sees."""
        older = (self.folder / ZIP).read_bytes()
        source = self.journey.clone.root / "chalicelib/errors.py"
        source.write_text(source.read_text() + "\n# Changed.\n")
        self.journey.clone.commit()
        self.package()
        self.make("plan the change", target="plan")
        newer = (self.folder / ZIP).read_bytes()
        (self.folder / ZIP).write_bytes(older)
        self.make("another zip", target="apply")
        (self.folder / ZIP).write_bytes(newer)
        _add_route(self.life.url)
        self.make("wrong", self.door, "PATIENCE=1", target="apply")
        self.make("reimport")
        self.make("behind", self.door, role="plan", target="verify")

    def back_and_forth(self) -> None:
        said = self.journey.said["behind"].out
        target = next(line.split("fix: make ")[1] for line in said.splitlines() if "fix: make " in line)
        self.make("forth", "MINUTES=0", self.door, target=target)
        self.make("releases", "JSON=1")
        self.make("mended", self.door, role="plan", target="verify")
        self.make("unknown", "VERSION=9", target="rollback")
        self.make("back", target="rollback")
        self.make("no earlier", target="rollback")
        self.make("plan forward", target="plan")
        self.make("forward", f"URL={NO_NAME}", "PATIENCE=1", target="apply")
        self.make("seen", self.door, role="plan", target="verify")

    def kept(self) -> None:
        self.set(router_queue_cap=5)
        self.make("plan for nobody", "CANARY=1", target="plan")
        self.make("kept", self.door, target="apply")

    def gradually(self) -> None:
        self.watch("alarm", alarm_after=2)
        self.watch("alarm before")
        self.set_alarm("OK")
        self.make("release", "CANARY=10", "MINUTES=0", self.door)
        self.make("nothing new", target="release")
        self.make("in the end", target="plan")

    def probed(self) -> None:
        """The canary looks; then callers get a version whose variables somebody broke by hand."""
        self.make("canary", self.door, role="canary")
        self.make("canary blind", f"URL={NO_NAME}", "PATIENCE=1", target="canary", role="canary")
        functions = client("lambda", self.life.url)
        good = functions.get_function_configuration(FunctionName=NAME)["Environment"]["Variables"]
        bad = {"Variables": good | {"COGNITO_AUD": ""}}
        functions.update_function_configuration(FunctionName=NAME, Description="0.1.0+g000000000004", Environment=bad)
        broken = functions.publish_version(FunctionName=NAME)["Version"]
        functions.update_function_configuration(FunctionName=NAME, Environment={"Variables": good})
        functions.update_alias(FunctionName=NAME, Name="live", FunctionVersion=broken)
        self.make("broken", self.door, "PATIENCE=1", target="canary", role="canary")

    def pruned(self) -> None:
        """More versions, made by hand for speed, with the alias on old ones."""
        functions = client("lambda", self.life.url)
        for number in range(5, 10):
            functions.update_function_configuration(FunctionName=NAME, Description=f"0.1.0+g{number:012x}")
            functions.publish_version(FunctionName=NAME)
        weights = {"AdditionalVersionWeights": {"3": 0.1}}
        functions.update_alias(FunctionName=NAME, Name="live", FunctionVersion="2", RoutingConfig=weights)
        self.make("pruned", "PRUNE=1", target="releases")

    def end(self) -> None:
        with self.recorded("destroy", "deploy"):
            self.terraform.run("destroy", "-auto-approve", "-input=false", "-no-color")
        self.journey.left = inventory(self.life.url)

    @property
    def folder(self) -> Path:
        return self.journey.clone.root / "terraform"

    @property
    def terraform(self) -> Terraform:
        return Terraform(self.folder, self.journey.clone.environ | self.life.credentials["deploy"])

    @property
    def door(self) -> str:
        return f"URL={self.url}"

    def set(self, **variables: Any) -> None:
        """The stack's variables, in a file as docs/deploy.md has it."""
        pool = self.life.pool
        ours = {
            "cognito_user_pool_id": pool["id"],
            "cognito_user_pool_arn": pool["arn"],
            "cognito_aud": pool["client"],
            "cognito_jwks": self.jwks,
        }
        (self.folder / "prod.auto.tfvars.json").write_text(json.dumps(STACK | ours | variables))

    def package(self) -> None:
        ran = self.journey.clone.make("package", environ={"PYTHONHASHSEED": "77"})
        assert ran.status == 0, ran.said
        sums = sums_of(self.folder / ZIP)
        document, written = (self.folder / TERRAFORM).read_text(), (self.folder / SUMS).read_text()
        build = ran.out.splitlines()[-1].removeprefix("build ")
        self.journey.packages.append(Packaged(ran.out, build, sums, document, written))
        self.tasks[sums.code_sha256] = self.journey.clone.root.parent / f"task {len(self.tasks)}"
        unpack(self.folder / ZIP, self.tasks[sums.code_sha256])

    def make(self, step: str, *words: str, target: str = "", role: str = "deploy") -> None:
        with self.recorded(step, role):
            ran = self.journey.clone.make(target or step, *words, environ=self.life.credentials[role])
        self.journey.said[step] = ran
        self.journey.served[step] = self.serving()

    def recorded(self, step: str, role: str) -> Any:
        key = self.life.credentials[role]["AWS_ACCESS_KEY_ID"]
        return self.journey.recording.phase(f"{role} {step}", key)

    def serving(self) -> dict[str, Any]:
        """What callers and other stacks meet, of each function; nothing before there is a stack."""
        functions, parameters = client("lambda", self.life.url), client("ssm", self.life.url)
        served = {}
        for function, parameter in _VERSIONS.items():
            try:
                alias = functions.get_alias(FunctionName=function, Name="live")
            except functions.exceptions.ResourceNotFoundException:
                return {}
            told = parameters.get_parameter(Name=parameter)["Parameter"]["Value"]
            weights = (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights", {})
            served[function] = {"version": alias["FunctionVersion"], "weights": weights, "told": told}
        return served

    def set_alarm(self, state: str) -> None:
        client("cloudwatch", self.life.url).set_alarm_state(AlarmName=ALARM, StateValue=state, StateReason="a test")

    def watch(self, step: str, alarm_after: int = 0) -> None:
        """Ten minutes at 10 %, on a clock that only moves when somebody waits; an alarm after so many looks."""
        now, looks = [0.0], [0]

        def sleep(seconds: float) -> None:
            now[0] += seconds
            looks[0] += 1
            if looks[0] == 1:
                self.journey.watched.append(self.serving())
            if looks[0] == alarm_after:
                self.set_alarm("ALARM")

        canary = Canary(0.1, 600, sleep=sleep, clock=lambda: now[0])
        self.journey.said[step] = _said(lambda: release(self.alias, self.alarms, canary, list, Patience(0)))
        self.journey.served[step] = self.serving()

    @property
    def alias(self) -> LiveAlias:
        clients = client("lambda", self.life.url), client("ssm", self.life.url)
        leader, follower = _VERSIONS.items()
        return LiveAlias(*clients, leader[0], "live", leader[1], LiveAlias(*clients, follower[0], "live", follower[1]))

    @property
    def alarms(self) -> Alarms:
        cloudwatch = client("cloudwatch", self.life.url)
        found = cloudwatch.describe_alarms(AlarmNamePrefix=NAME)["MetricAlarms"]
        return Alarms(cloudwatch, [each["AlarmName"] for each in found])


def _said(program: Callable[[], int]) -> Ran:
    """What a program here said, as if it had been called by make."""
    printed = io.StringIO()
    with redirect_stdout(printed):
        try:
            return Ran(program(), printed.getvalue(), "")
        except Refused as why:
            return Ran(1, printed.getvalue(), str(why))


def _add_route(url: str) -> None:
    """``GET /admin`` with an answer by API Gateway itself, as the console makes it."""
    gateway = client("apigateway", url)
    api = {"restApiId": gateway.get_rest_apis()["items"][0]["id"]}
    root = next(each["id"] for each in gateway.get_resources(**api, limit=500)["items"] if each["path"] == "/")
    made = gateway.create_resource(**api, parentId=root, pathPart="admin")["id"]
    gateway.put_method(**api, resourceId=made, httpMethod="GET", authorizationType="NONE")
    gateway.put_integration(**api, resourceId=made, httpMethod="GET", type="MOCK")
