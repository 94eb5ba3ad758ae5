"""The OpenAPI document, as openapi-typescript with its defaults understands it."""

import json
from pathlib import Path

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


def test_jobs_as_the_readme_sends_them_compile_and_others_do_not(tmp_path: Path) -> None:
    """A line behind ``@ts-expect-error`` must not compile, or the compiler complains of the comment."""
    npm.install(FOLDER)
    (tmp_path / "node_modules").symlink_to(FOLDER / "node_modules")
    for name in ("package.json", "job.ts"):
        (tmp_path / name).write_text((FOLDER / name).read_text())
    (tmp_path / "openapi.json").write_text(json.dumps(openapi.document(app.routes, JOB_TYPES, "scope")))

    made = npm.run(tmp_path, "npx", "openapi-typescript", "openapi.json", "-o", "schema.ts")
    assert made.returncode == 0, made.stderr
    compiled = npm.run(tmp_path, *COMPILE)
    assert compiled.returncode == 0, compiled.stdout
