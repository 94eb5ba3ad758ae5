"""``terraform/chalice.tf.json`` of this very app, without the wheels that a real package needs."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.contract.repository import ROOT, files, name_of
from tests.deploy.kit.artefact import BUILD
from tools.merge.document import merge, named
from tools.package import pages

_SOURCE = ("app.py", "chalicelib/", "vendor/", ".chalice/config.json")
_OUR_ROLE = {"manage_iam_role": False, "iam_role_arn": "${module.iam.runtime_role_arn}"}


def chalice_json(folder: Path, *, has_pages: bool = False) -> dict[str, Any]:
    """What ``chalice package --stage terraform`` writes, merged and named as ``make package`` does."""
    source = folder / "source"
    for path in files():
        if name_of(path).startswith(_SOURCE):
            (source / name_of(path)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, source / name_of(path))
    (source / "requirements.txt").touch()
    config = json.loads((ROOT / ".chalice/config.json").read_text())
    config["stages"]["terraform"].update(_OUR_ROLE)
    (source / ".chalice/config.json").write_text(json.dumps(config))
    pages.choose(source, "terraform", is_on=has_pages)
    arguments = ["package", "--stage", "terraform", "--pkg-format", "terraform", str(folder / "out")]
    ran = subprocess.run(
        [sys.executable, "-c", "from chalice.cli import main; main()", *arguments],
        cwd=source,
        env=os.environ | {"AWS_DEFAULT_REGION": "eu-central-1", "PYTHONDONTWRITEBYTECODE": "1"},  # noqa: TID251
        check=False,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return dict(named(merge(json.loads((folder / "out/chalice.tf.json").read_text())), BUILD))
