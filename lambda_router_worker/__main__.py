"""``lambda-router-worker``."""

from lambda_router_worker.cli import main

main(prog_name="lambda-router-worker")
