"""tools/stack/backend.py: where the state is, and what is read of it without Terraform."""

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.unit.tools.fake_state import FakeS3
from tools.stack.backend import Backend, StateUnread

NAMED = {"STATE_BUCKET": "octo-state", "AWS_REGION": "eu-central-1"}


def initialised(folder: Path, kind: str = "s3", **config: str) -> Path:
    """A folder as ``terraform init`` leaves it."""
    (folder / ".terraform").mkdir()
    backend = {"type": kind, "config": config}
    (folder / ".terraform/terraform.tfstate").write_text(json.dumps({"version": 3, "backend": backend}))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return initialised(tmp_path, bucket="octo-state", key="prod.tfstate", region="eu-central-1")


def test_a_fresh_clone_goes_by_the_environment(tmp_path: Path) -> None:
    assert Backend.of(tmp_path, NAMED) == Backend("octo-state", "lambda-router/prod.tfstate", "eu-central-1")
    assert str(Backend.of(tmp_path, NAMED | {"STATE_KEY": "other"})) == "s3://octo-state/other"


@pytest.mark.parametrize("missing", NAMED)
def test_what_a_fresh_clone_is_not_told_is_named(tmp_path: Path, missing: str) -> None:
    environ = {name: value for name, value in NAMED.items() if name != missing}

    with pytest.raises(StateUnread, match=f"^{missing} is not set: "):
        Backend.of(tmp_path, environ)


def test_an_initialised_folder_needs_no_environment(folder: Path) -> None:
    assert Backend.of(folder, {}) == Backend("octo-state", "prod.tfstate", "eu-central-1")


@pytest.mark.parametrize("other", [{"STATE_BUCKET": "theirs"}, {"STATE_KEY": "staging.tfstate"}])
def test_an_environment_that_names_another_state_than_the_folder_is_refused(
    folder: Path, other: dict[str, str]
) -> None:
    ((name, value),) = other.items()

    with pytest.raises(StateUnread, match=f"^{name} is {value}, but .* s3://octo-state/prod.tfstate"):
        Backend.of(folder, other)


def test_a_workspace_has_a_key_of_its_own(folder: Path) -> None:
    assert Backend.of(folder, {"TF_WORKSPACE": "two"}).key == "env:/two/prod.tfstate"
    (folder / ".terraform/environment").write_text("three")
    assert Backend.of(folder, {}).key == "env:/three/prod.tfstate"


def test_another_kind_of_backend_is_refused(tmp_path: Path) -> None:
    initialised(tmp_path, "local", path="terraform.tfstate")

    with pytest.raises(StateUnread, match="make init"):
        Backend.of(tmp_path, NAMED)


def test_outputs_are_the_bare_values() -> None:
    outputs = {"api_url": {"value": "https://x", "type": "string"}, "days": {"value": 3, "type": "number"}}

    assert FakeS3({"prod.tfstate": {"version": 4, "outputs": outputs}}).backend().outputs() == {
        "api_url": "https://x",
        "days": 3,
    }


def test_no_state_is_no_outputs_and_no_lock() -> None:
    assert FakeS3({}).backend().outputs() == {}
    assert FakeS3({}).backend().lock() is None


@pytest.mark.parametrize("state", [{"version": 5}, {"encrypted_data": "…"}])
def test_a_state_of_another_format_is_not_guessed_at(state: dict[str, Any]) -> None:
    with pytest.raises(StateUnread, match="another format"):
        FakeS3({"prod.tfstate": state}).backend().outputs()


def test_a_refusal_is_not_taken_for_an_empty_state() -> None:
    with pytest.raises(ClientError, match="AccessDenied"):
        FakeS3({}, code="AccessDenied").backend().outputs()


def test_a_lock_says_who_holds_it() -> None:
    held = {"ID": "1-2", "Who": "me@laptop", "Created": "2026-11-28T08:00:00Z", "Operation": "OperationTypeApply"}

    lock = FakeS3({"prod.tfstate.tflock": held}).backend().lock()

    assert lock is not None
    assert (lock.number, str(lock)) == (
        "1-2",
        "held by me@laptop since 2026-11-28T08:00:00Z, for OperationTypeApply",
    )
