"""What a process that a test starts is given."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]


def clean_environment(**variables: str) -> dict[str, str]:
    """This process's environment without the variables of the product, and with these."""
    ours = ("COGNITO_", "ROUTER_", "REDIS_", "WORKER_", "BACKEND_", "AWS_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}  # noqa: TID251
    return inherited | {"PYTHONPATH": str(ROOT)} | variables
