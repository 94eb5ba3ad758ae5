"""``python -m lambda_router``: the command ``lambda-router``."""

from lambda_router.cli import main

main()
