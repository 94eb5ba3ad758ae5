"""The stack's state in S3 or in a file, read without Terraform: no provider, package or ``terraform init`` is needed.

So an operator can roll back from a fresh clone within seconds. Only the state's format and its outputs are read, in the
form of ``terraform output -json``. The format has had number 4 since Terraform 0.12 (2019).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from botocore.exceptions import ClientError

from tools.stack.aws import client

DEFAULT_KEY = "lambda-router/prod.tfstate"
STATE_FILE = "terraform.tfstate"
_FORMAT = 4
#: The output in which a root module that contains the stack has all outputs of the stack: terraform/examples.
STACK = "stack"
_ABSENT = frozenset({"NoSuchKey", "404"})


class StateUnread(Exception):
    """The state's location is not given, or the state cannot be read; the message says what to do."""


@dataclass(frozen=True)
class Lock:
    """The holder of the state's lock, which Terraform keeps as an object beside the state.

    Attributes:
        number: the id for ``force-unlock``.
        who: user and machine.
        since: when the lock was taken.
        operation: such as ``OperationTypeApply``.
    """

    number: str
    who: str
    since: str
    operation: str

    def __str__(self) -> str:
        return f"held by {self.who} since {self.since}, for {self.operation}"


def _outputs(text: str, place: str) -> dict[str, Any]:
    """Return the values of the outputs of a state, and those of the stack that it contains as a module.

    Raises:
        StateUnread: the state is encrypted, or a future Terraform wrote it.
    """
    state = json.loads(text)
    if state.get("version") != _FORMAT:
        raise StateUnread(
            f"{place} is encrypted or has another format than {_FORMAT}: only the program that wrote it can read it"
        )
    outputs = {name: output["value"] for name, output in state.get("outputs", {}).items()}
    return {**outputs.get(STACK, {}), **outputs}


@dataclass(frozen=True)
class StateFile:
    """A state in Terraform's folder, where it is without a backend: on this machine alone."""

    path: Path

    @classmethod
    def in_folder(cls, folder: Path, environ: Mapping[str, str]) -> Self | None:
        """Return the file; None if there is none, or if the folder was initialised with a backend."""
        path = folder / STATE_FILE
        has_backend = (folder / environ.get("TF_DATA_DIR", ".terraform") / STATE_FILE).is_file()
        return None if has_backend or not path.is_file() else cls(path)

    def __str__(self) -> str:
        return str(self.path)

    def outputs(self) -> dict[str, Any]:
        """Return the values of the outputs. Raises StateUnread if the state has another format."""
        return _outputs(self.path.read_text(encoding="utf-8"), str(self))


@dataclass(frozen=True)
class Backend:
    """One state in S3.

    Attributes:
        connect: makes an AWS client from a service and a region.
    """

    bucket: str
    key: str
    region: str
    connect: Callable[[str, str], Any] = field(default=client, compare=False)

    @classmethod
    def of(cls, folder: Path, environ: Mapping[str, str]) -> Self:
        """Return the backend that a folder was initialised with; before that, the one that the environment names.

        Raises:
            StateUnread: neither names one, or they contradict each other.
        """
        there = cls.initialised(folder, environ)
        if there is None:
            return cls.named(environ)
        for name, found in (("STATE_BUCKET", there.bucket), ("STATE_KEY", there.key)):
            if (wanted := environ.get(name)) and wanted != found:
                raise StateUnread(
                    f"{name} is {wanted}, but {folder.name}/ was initialised with {there}: make init for the other"
                    f" stack, or omit {name}"
                )
        return there

    @classmethod
    def initialised(cls, folder: Path, environ: Mapping[str, str]) -> Self | None:
        """Return the backend that ``terraform init`` recorded in that folder; None before it.

        Raises:
            StateUnread: the state is not kept in S3.
        """
        data = folder / environ.get("TF_DATA_DIR", ".terraform")
        kept = data / "terraform.tfstate"
        backend = json.loads(kept.read_text(encoding="utf-8")).get("backend") if kept.is_file() else None
        if backend is None:
            return None
        config = backend["config"]
        if backend["type"] != "s3" or not all(config.get(name) for name in ("bucket", "key", "region")):
            raise StateUnread(f"{folder.name}/ was not initialised with an S3 bucket, key and region: make init")
        # https://developer.hashicorp.com/terraform/language/backend/s3#workspace_key_prefix
        chosen = data / "environment"
        workspace = environ.get("TF_WORKSPACE") or (chosen.read_text().strip() if chosen.is_file() else "") or "default"
        folders = "" if workspace == "default" else f"{config.get('workspace_key_prefix') or 'env:'}/{workspace}/"
        return cls(config["bucket"], folders + config["key"], config["region"])

    @classmethod
    def named(cls, environ: Mapping[str, str]) -> Self:
        """Return the backend that the environment names, as for ``make init``.

        Raises:
            StateUnread: a variable is missing; the message names it.
        """
        for name, what in (("STATE_BUCKET", "the bucket that holds the state"), ("AWS_REGION", "its region")):
            if not environ.get(name):
                raise StateUnread(f"{name} is not set: {what}; export STATE_BUCKET=… AWS_REGION=… (docs/deploy.md)")
        return cls(environ["STATE_BUCKET"], environ.get("STATE_KEY") or DEFAULT_KEY, environ["AWS_REGION"])

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    def outputs(self) -> dict[str, Any]:
        """Return the values of the stack's outputs; empty before the first apply.

        Raises:
            StateUnread: the state is encrypted, or a future Terraform wrote it.
            ClientError: AWS denies access to it.
        """
        text = self._read(self.key)
        return {} if text is None else _outputs(text, str(self))

    def lock(self) -> Lock | None:
        """Return the holder of the lock; None if it is free.

        Raises:
            ClientError: AWS denies access to it.
        """
        text = self._read(f"{self.key}.tflock")
        if text is None:
            return None
        held = json.loads(text)
        return Lock(*(str(held.get(name)) for name in ("ID", "Who", "Created", "Operation")))

    def init(self) -> str:
        """Return the command that initialises a folder with this state."""
        return f"make init STATE_BUCKET={self.bucket} AWS_REGION={self.region} STATE_KEY={self.key}"

    def _read(self, key: str) -> str | None:
        try:
            answer = self.connect("s3", self.region).get_object(Bucket=self.bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] in _ABSENT:
                return None
            raise
        return str(answer["Body"].read().decode())
