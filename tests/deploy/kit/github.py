"""Runs GitHub's workflows here: each job in a fresh clone, its steps in order, as the processes that it would start.

What an action does is done here: a checkout is a clone, an artefact is a copy of the listed files and of nothing else,
and before ``setup-terraform`` and ``configure-aws-credentials`` there is no Terraform and are no credentials.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.contract.repository import ROOT
from tests.contract.workflows import workflows
from tests.deploy.kit.clone import Clone
from tests.deploy.kit.github_expressions import filled, holds
from tests.deploy.kit.terraform_cli import Ran, terraform_path
from tools.stack.repository import ZIP

#: GitHub's own program: it keeps what it was called with, and the notes.
_GH = """[ -n "$GH_TOKEN" ] || { echo "no GH_TOKEN" >&2; exit 4; }
for word; do printf '%s\\n' "$word"; [ "$before" != --notes-file ] || cat "$word"; before=$word; done >../gh.txt"""
#: Of the image that is pushed.
_DIGEST = f"sha256:{'0' * 64}"


@dataclass(frozen=True)
class Step:
    """One step that was come to.

    Attributes:
        name: what ``run`` or ``uses`` says.
        ran: what the process said; None for an action, and for a step that was left out.
        skipped: its ``if:`` did not hold.
    """

    name: str
    ran: Ran | None = None
    skipped: bool = False

    @property
    def failed(self) -> bool:
        return self.ran is not None and self.ran.status != 0


@dataclass
class Job:
    """One job that ran.

    Attributes:
        root: its clone.
        environ: the variables of all its steps.
        page: what its steps wrote on the run's page.
    """

    root: Path
    steps: list[Step] = field(default_factory=list)
    environ: dict[str, str] = field(default_factory=dict)
    skipped: bool = False

    @property
    def failed(self) -> bool:
        return any(step.failed for step in self.steps)

    @property
    def page(self) -> str:
        path = self.root.parent / "summary.md"
        return path.read_text() if path.exists() else ""

    def said(self, run: str) -> str:
        """What the step that begins so wrote."""
        return next(step.ran.said for step in self.steps if step.ran is not None and step.name.startswith(run))

    @property
    def record(self) -> str:
        """All of it, for a test that fails."""
        return "\n".join(f"== {step.name}\n{step.ran.said if step.ran else '(no process)'}" for step in self.steps)


@dataclass
class GitHub:
    """A repository's settings, and the machines that its jobs run on.

    Attributes:
        folder: where the clones are made.
        origin: what they are clones of, with the variables of every step: where AWS and everything else is.
        settings: contexts of expressions: ``vars``, ``secrets``.
        credentials: variables that a role brings, by its ARN.
        reduced: more variables of steps that would run these tests themselves.
        uploaded: called with the folder of an artefact once it is complete.
    """

    folder: Path
    origin: Clone
    settings: Mapping[str, Any]
    credentials: Mapping[str, Mapping[str, str]]
    reduced: Mapping[str, Mapping[str, str]]
    uploaded: Callable[[Path], None]

    def run(self, workflow: str, name: str, event: Mapping[str, Any], folder: str = "") -> Job:
        """One job, whose needs are taken to have ended well.

        Args:
            workflow: name of its file.
            name: of the job.
            event: what GitHub's contexts say of this run: ``inputs``, ``github``.
            folder: for a second run of the same job.
        """
        about, contexts = workflows()[workflow]["jobs"][name], dict(self.settings) | event
        job = Job(self.folder / (folder or f"{workflow}-{name}") / "clone")
        if not holds(about.get("if", "success()"), contexts, failed=False):
            job.skipped = True
            return job
        job.root.parent.mkdir(parents=True)
        job.environ = {key: filled(str(text), contexts) for key, text in about.get("env", {}).items()}
        machine = _Machine(self, job, contexts | {"env": dict(job.environ), "steps": {}})
        for step in about["steps"]:
            machine.come_to(step)
        return job


@dataclass
class _Machine:
    """The machine of one job."""

    github: GitHub
    job: Job
    contexts: dict[str, Any]
    clone: Clone | None = None

    def come_to(self, step: Mapping[str, Any]) -> None:
        contexts, failed = self.contexts, self.job.failed
        name = str(step.get("run") or step["uses"])
        if not holds(step.get("if", "success()"), contexts, failed=failed):
            self.job.steps.append(Step(name, skipped=True))
            return
        done = self._run(step) if "run" in step else self._use(step)
        self.job.steps.append(done)
        contexts["steps"][step.get("id", "")] = {
            "conclusion": "failure" if done.failed else "success",
            "outputs": self._outputs(),
        }

    def _run(self, step: Mapping[str, Any]) -> Step:
        assert self.clone is not None, "a step before the checkout"
        program, *words = shlex.split(step["run"])
        assert program == "make"
        environ = {key: filled(str(text), self.contexts) for key, text in step.get("env", {}).items()}
        environ |= self.github.reduced.get(step["run"], {})
        return Step(step["run"], self.clone.make(*words, environ=self.job.environ | environ))

    def _use(self, step: Mapping[str, Any]) -> Step:
        given = {key: filled(str(text), self.contexts) for key, text in step.get("with", {}).items()}
        action = step["uses"].partition("@")[0]
        _ACTIONS[action](self, given)
        return Step(action)

    def checkout(self, _: Mapping[str, str]) -> None:
        self.clone = self.github.origin.cloned(self.job.root)
        programs = self.job.root.parent / "programs"
        programs.mkdir()
        self._program(programs / "terraform", 'echo "no setup-terraform before this step" >&2; exit 97')
        self._program(programs / "gh", _GH)
        for tools in ("audit", "actionlint", "gateway"):  # what make would install, if it were let
            if (ROOT / ".local" / tools).exists():
                (self.job.root / ".local").mkdir(exist_ok=True)
                (self.job.root / ".local" / tools).symlink_to(ROOT / ".local" / tools)
        self.clone.environ.update(
            {
                "CI": "true",
                "GITHUB_ACTIONS": "true",
                "GITHUB_STEP_SUMMARY": str(self.job.root.parent / "summary.md"),
                "GITHUB_OUTPUT": str(self.job.root.parent / "output"),
                "GITHUB_REPOSITORY": "octo/Router",
                "GITHUB_SERVER_URL": "https://github.com",
                "PATH": f"{programs}:{os.environ['PATH']}",  # noqa: TID251
            }
        )

    def _outputs(self) -> dict[str, str]:
        """What the step wrote for later ones: lines ``name=value``, or a text between two marks."""
        file = self.job.root.parent / "output"
        text = file.read_text() if file.exists() else ""
        file.unlink(missing_ok=True)
        several = {found[1]: found[3] for found in re.finditer(r"^(\w+)<<(\w+)\n(.*?)\n\2$", text, re.M | re.S)}
        return dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE)) | several

    @staticmethod
    def _program(path: Path, script: str) -> None:
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def setup_python(self, given: Mapping[str, str]) -> None:
        """The clone's ``.venv`` is that of these tests."""
        wanted = (self.job.root / given["python-version-file"]).read_text().strip()
        assert wanted == f"{sys.version_info.major}.{sys.version_info.minor}"

    def setup_terraform(self, _: Mapping[str, str]) -> None:
        self._program(self.job.root.parent / "programs/terraform", f'exec {terraform_path()} "$@"')

    def take_on_role(self, given: Mapping[str, str]) -> None:
        self.job.environ |= {"AWS_REGION": given["aws-region"], **self.github.credentials[given["role-to-assume"]]}

    def upload(self, given: Mapping[str, str]) -> None:
        """The files lie in the artefact below the folder that they have in common, as GitHub's action does it."""
        folder = self.github.folder / "artefacts" / given["name"]
        folder.mkdir(parents=True)
        for pattern in given["path"].split():
            found = list(self.job.root.glob(pattern))
            assert found, f"{pattern}: no files were found, and if-no-files-found is {given['if-no-files-found']}"
            for path in found:
                shutil.copy(path, folder)
        if (folder / ZIP).exists():
            self.github.uploaded(folder)

    def attest(self, given: Mapping[str, str]) -> None:
        """It signs what is there: each file of the list with that checksum, or an image that was pushed."""
        if "subject-checksums" in given:
            sums = self.job.root / given["subject-checksums"]
            subprocess.run(["sha256sum", "--check", "--strict", sums.name], cwd=sums.parent, check=True)
        else:
            assert re.fullmatch(r"ghcr\.io/[a-z0-9/-]+", given["subject-name"])
            assert given["subject-digest"] == _DIGEST

    def nothing(self, _: Mapping[str, str]) -> None:
        """A builder of images, or a login to a registry."""

    def push_image(self, given: Mapping[str, str]) -> None:
        """It gets a context with everything that the Containerfile copies."""
        context = self.job.root / given["context"]
        copied = re.search(r"^COPY ([^-].*) \S+$", (self.job.root / given["file"]).read_text(), re.MULTILINE)
        assert copied
        assert all(list(context.glob(name)) for name in copied[1].split())
        assert all(re.fullmatch(r"ghcr\.io/[a-z0-9/-]+:[\w.-]+", tag) for tag in given["tags"].split(","))
        assert all("=" in line for line in given["labels"].splitlines())
        (self.job.root.parent / "output").write_text(f"digest={_DIGEST}\n")

    def download(self, given: Mapping[str, str]) -> None:
        (self.job.root / given["path"]).mkdir(parents=True, exist_ok=True)
        for path in (self.github.folder / "artefacts" / given["name"]).iterdir():
            shutil.copy(path, self.job.root / given["path"])


_ACTIONS: dict[str, Callable[[_Machine, Mapping[str, str]], None]] = {
    "actions/checkout": _Machine.checkout,
    "actions/setup-python": _Machine.setup_python,
    "hashicorp/setup-terraform": _Machine.setup_terraform,
    "aws-actions/configure-aws-credentials": _Machine.take_on_role,
    "actions/upload-artifact": _Machine.upload,
    "actions/download-artifact": _Machine.download,
    "actions/attest-build-provenance": _Machine.attest,
    "docker/setup-qemu-action": _Machine.nothing,
    "docker/setup-buildx-action": _Machine.nothing,
    "docker/login-action": _Machine.nothing,
    "docker/build-push-action": _Machine.push_image,
}
