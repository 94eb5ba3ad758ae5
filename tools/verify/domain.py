"""Checks of the addresses of the API: the custom domain, and the default endpoint if it is on."""

from collections.abc import Iterator

from tools.stack.deployed import DEPLOY, DeployedStack
from tools.stack.findings import Finding, compared
from tools.verify.routes import REDEPLOY

#: API Gateway's notation for no base path.
_NO_PATH = "(none)"


def mapping(stack: DeployedStack) -> Iterator[Finding]:
    """Check that the domain's base path leads to this API's stage."""
    gateway = stack.aws("apigateway")
    for name, path in stack.custom_domain.items():
        try:
            found = gateway.get_base_path_mapping(domainName=name, basePath=path or _NO_PATH)
            leads_to = f"stage {found.get('stage', _NO_PATH)} of API {found['restApiId']}"
        except gateway.exceptions.NotFoundException:
            leads_to = "nothing"
        yield compared(
            f"https://{name}/{path}",
            leads_to,
            f"stage {stack.api_stage_name} of API {stack.api_id}",
            why="callers reach no API there, or another one",
            fix=DEPLOY,
        )


def default_endpoint(stack: DeployedStack) -> Iterator[Finding]:
    """Check that the default endpoint is on or off as applied; a stage follows it after the API's next deployment."""
    api = stack.aws("apigateway").get_rest_api(restApiId=stack.api_id)
    yield compared(
        "default endpoint",
        "off" if api.get("disableExecuteApiEndpoint") else "on",
        "on" if stack.default_endpoint else "off",
        why="callers bypass the custom domain, or can no longer reach the API",
        fix=REDEPLOY,
    )
