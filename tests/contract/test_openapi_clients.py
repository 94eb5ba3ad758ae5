"""The OpenAPI document, as openapi-typescript with its defaults understands it."""

import json
from pathlib import Path

import pytest

from app import app
from chalicelib.api import openapi
from chalicelib.jobs.job_types import JOB_TYPES
from tests import npm

FOLDER = Path(__file__).with_name("typescript")
COMPILE = (
    "npx",
    "tsc",
    "--noEmit",
    "--strict",
    "--skipLibCheck",
    "--module",
    "nodenext",
    "--target",
    "es2022",
    "job.ts",
)


@pytest.mark.parametrize(
    ("line", "compiles"),
    [
        ("", True),
        ('const bare: Schemas["GenerateJobRequest"] = { type: "generate" };', False),
        ('const odd: Schemas["GenerateJobRequest"] = { type: "chat", input: { prompt: "x" } };', False),
        ('const result = (job: Schemas["GenerateJob"]): string => job.result;', False),
    ],
    ids=["whole", "no input", "another type", "result not looked at"],
)
def test_jobs_as_the_readme_sends_them_compile_and_others_do_not(line: str, compiles: bool, tmp_path: Path) -> None:
    npm.install(FOLDER)
    (tmp_path / "node_modules").symlink_to(FOLDER / "node_modules")
    (tmp_path / "package.json").write_text((FOLDER / "package.json").read_text())
    (tmp_path / "job.ts").write_text((FOLDER / "job.ts").read_text() + line)
    (tmp_path / "openapi.json").write_text(json.dumps(openapi.document(app.routes, JOB_TYPES, "scope")))

    made = npm.run(tmp_path, "npx", "openapi-typescript", "openapi.json", "-o", "schema.ts")
    assert made.returncode == 0, made.stderr
    compiled = npm.run(tmp_path, *COMPILE)
    assert (compiled.returncode == 0) is compiles, compiled.stdout
