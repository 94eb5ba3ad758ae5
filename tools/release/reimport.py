"""``python -m tools.release.reimport``: restore the API's body as Terraform applied it, over changes by hand.

Terraform imports the body when it changes, but does not read the result, so its plan stays empty.
"""

import json
from pathlib import Path

import click

from tools.stack.deployed import DeployedStack, deployed_stack
from tools.stack.options import said_plainly, stack_folder
from tools.stack.terraform import Terraform


@click.command()
@stack_folder
def main(folder: Path) -> None:
    """Import the API's body again; it is served only after a deployment."""
    with said_plainly("reimport"):
        reimport(deployed_stack(Terraform(folder)))


def reimport(stack: DeployedStack) -> None:
    """Overwrite routes, authorizers and gateway responses; name, description and default endpoint stay."""
    gateway = stack.aws("apigateway")
    api = gateway.get_rest_api(restApiId=stack.api_id)
    body = json.loads(stack.api_body)
    # An import renames the API after the document.
    body["info"] |= {"title": api["name"], "description": api.get("description", "")}
    gateway.put_rest_api(restApiId=stack.api_id, mode="overwrite", body=json.dumps(body).encode())
    if api.get("disableExecuteApiEndpoint"):  # an import switches it on again
        off = {"op": "replace", "path": "/disableExecuteApiEndpoint", "value": "true"}
        gateway.update_rest_api(restApiId=stack.api_id, patchOperations=[off])


if __name__ == "__main__":
    main()
