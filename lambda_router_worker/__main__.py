"""Entry point of ``python -m lambda_router_worker``."""

from lambda_router_worker.cli import main

main(prog_name="lambda-router-worker")
