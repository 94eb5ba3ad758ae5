"""All checks of a stack, against its package or against what Terraform applied last."""

from collections.abc import Iterator
from pathlib import Path

from tools.stack.checks import Check, each, unseen
from tools.stack.deployed import DEPLOY, DeployedStack, NoStack, deployed_stack
from tools.stack.findings import Finding, compared
from tools.stack.repository import package_folder
from tools.stack.terraform import Terraform, TerraformFailed
from tools.verify import api, domain, live, routes, told
from tools.verify import function as verify_function
from tools.verify.fixes import for_folder
from tools.verify.function import Function
from tools.verify.live import Site
from tools.verify.wanted import NoPackage, Wanted


def here(terraform: Terraform, url: str | None = None) -> Iterator[Finding]:
    """Verify the stack whose state that folder was initialised with."""
    try:
        stack = deployed_stack(terraform)
    except (NoStack, TerraformFailed) as error:
        yield unseen("stack", str(error))
        return
    yield from for_folder(verify(stack, url, folder=package_folder(terraform.folder)), terraform.folder)
    yield from ready(stack, url)


def ready(stack: DeployedStack, url: str | None = None, patience: float | None = None) -> Iterator[Finding]:
    """Check that the function reaches what it needs; separate from ``verify``, for which an apply is taken back."""
    yield from each({"GET /ready": lambda: live.readiness(Site.of(url or stack.api_url, patience))})


def verify(
    stack: DeployedStack, url: str | None = None, *, folder: Path = Terraform.folder, patience: float | None = None
) -> Iterator[Finding]:
    """Run every check against the package in a folder.

    Args:
        stack: what Terraform applied.
        url: where to send requests instead of to the stage's own URL.
        folder: the folder of ``deployment.zip`` and ``chalice.tf.json``.
        patience: seconds that responses may take to become the wanted ones.
    """
    site = Site.of(url or stack.api_url, patience)
    try:
        wanted = Wanted.packaged(stack, folder)
    except NoPackage as error:
        yield unseen("package", str(error), fix="make package")
        yield from compare(stack, Wanted.applied(stack), site)
        return
    yield from _applied(stack, wanted)
    yield from compare(stack, wanted, site)


def compare(stack: DeployedStack, wanted: Wanted, site: Site) -> Iterator[Finding]:
    """Run every check of what is deployed, against a package or against what Terraform applied last."""
    functions = Function.all(stack)
    for each_function in functions:
        yield from each(_of_function(each_function, wanted))
    function = functions[0]
    # Terraform imports the body when it changes, but does not read what became of it.
    body_fix = routes.REIMPORT if wanted.body == Wanted.applied(stack).body else DEPLOY
    yield from each(
        {
            "deployment": lambda: api.deployment(stack),
            "custom domain": lambda: domain.mapping(stack),
            "default endpoint": lambda: domain.default_endpoint(stack),
            "routes": lambda: routes.routes(stack, wanted.body, body_fix),
            "authorizers": lambda: api.authorizers(stack, wanted.body, body_fix),
            "gateway responses": lambda: api.responses(stack, wanted.body, body_fix),
            "SSM parameters": lambda: told.parameters(stack, functions),
            "log groups": lambda: told.retention(stack),
            "GET /health": lambda: live.health(
                site,
                wanted.build,
                function.alias["FunctionVersion"],
                fix=function.move_alias if function.is_behind else DEPLOY,
            ),
            "POST /v1/jobs without a token": lambda: live.refusal(site, DEPLOY),
        }
    )


def _of_function(function: Function, wanted: Wanted) -> dict[str, Check]:
    return {
        f"code{function.of}": lambda: verify_function.code(function, wanted),
        f"alias{function.of}": lambda: verify_function.alias(function),
        f"permission of API Gateway{function.of}": lambda: verify_function.permission(function),
        f"variables{function.of}": lambda: verify_function.variables(function, wanted),
    }


def _applied(stack: DeployedStack, wanted: Wanted) -> Iterator[Finding]:
    """Check that Terraform's last apply was of this very package."""
    yield compared(
        "zip that Terraform applied",
        stack.code_sha256,
        wanted.code_sha256,
        why="the release differs from the build",
        fix=DEPLOY,
    )
    yield compared(
        "API that Terraform applied",
        "as packaged" if wanted.body == Wanted.applied(stack).body else "different from the package",
        "as packaged",
        why="the built routes, scopes or responses are not released",
        fix=DEPLOY,
    )
