"""Commands of a page, pasted into a shell with the real AWS CLI and Terraform, against moto."""

import os
import subprocess
from pathlib import Path

from tests.contract.repository import ROOT, fences, page
from tests.deploy.kit.clone import INSTALLS

AWS = ROOT / ".local/audit/bin/aws"
WHY_SKIPPED = "the AWS CLI is not installed: make audit-tools"
#: Nobody is there to say yes, and moto's buckets have no host names of their own.
_TERRAFORM = {
    "TF_CLI_ARGS_init": "-input=false -no-color -backend-config=use_path_style=true",
    "TF_CLI_ARGS_apply": "-input=false -no-color -auto-approve",
    "TF_CLI_ARGS_destroy": "-input=false -no-color -auto-approve",
}


def blocks(name: str, section: str) -> list[str]:
    """The shell blocks of a section of the second level."""
    _, _, rest = page(name).partition(f"\n## {section}\n")
    found = fences(rest.partition("\n## ")[0], "sh")
    assert found, section
    return found


def paste(text: str, url: str, folder: Path, **environ: str) -> "subprocess.CompletedProcess[str]":
    """Run it there until a command fails; ``make`` installs nothing."""
    path = os.environ["PATH"]  # noqa: TID251
    kept = " ".join(f"-o {target}" for target in INSTALLS)
    make = f'make() {{ command make -s {kept} "$@"; }}\n'
    known = {
        "PATH": f"{AWS.parent}:{path}",
        "HOME": str(folder),
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_PAGER": "",
        "REDIS_URL": "rediss://user:password@redis.example.com:6379/0",
    }
    return subprocess.run(
        ["nice", "bash", "-eu", "-c", make + text],
        env=known | _TERRAFORM | environ,
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
    )
