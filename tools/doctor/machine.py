"""The machine's prerequisites for a deploy: Python, Terraform, its provider and its backend. Nothing is fetched."""

import platform
import re
import sys
from collections.abc import Iterator

from tools.stack.backend import Backend
from tools.stack.configured import Stack
from tools.stack.findings import Finding
from tools.stack.repository import TERRAFORM
from tools.stack.terraform import Terraform, is_opentofu, program, registry

_TERRAFORM = (1, 10)
_PLATFORM = "linux_amd64"
_SOVEREIGN, _SOVEREIGN_PROVIDER = "eusc-", (6, 29)
_PROVIDER = "hashicorp/aws"


def python(stack: Stack) -> Iterator[Finding]:
    wanted = (stack.root / ".python-version").read_text(encoding="utf-8").strip()
    found = ".".join(str(number) for number in sys.version_info[: wanted.count(".") + 1])
    why = "the package is built for the Python that Lambda runs"
    yield (
        Finding("Python", True, found)
        if found == wanted
        else Finding("Python", False, found, wanted, why, "rm -rf .venv && make install")
    )


def terraform(stack: Stack) -> Iterator[Finding]:
    version = Terraform(stack.folder).version()
    found = ".".join(str(number) for number in version)
    if version >= _TERRAFORM:
        yield Finding("Terraform", ok=True, found=found)
        return
    wanted = ".".join(str(number) for number in _TERRAFORM) + " or newer"
    fix = f"{'tofuenv' if is_opentofu() else 'tfenv'} install latest"
    yield Finding("Terraform", False, found, wanted, "older versions cannot lock the state in S3", fix)


def provider_lock(stack: Stack) -> Iterator[Finding]:
    """Check that the lock file accepts ``linux_amd64``, the platform of GitHub's runners.

    ``zh:`` hashes cover every platform's archive; an ``h1:`` hash covers one platform's folder
    (https://developer.hashicorp.com/terraform/language/files/dependency-lock).
    """
    thing, name = "provider lock", stack.path(stack.workplace / ".terraform.lock.hcl")
    why = "an unverified provider could be installed, or `init` could fail on the other platform"
    fix = f"{program()} -chdir={stack.path(stack.workplace)} providers lock -platform={_PLATFORM} -platform={_here()}"
    path, provider = stack.workplace / ".terraform.lock.hcl", f"{registry()}/{_PROVIDER}"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    block = re.search(rf'provider "{re.escape(provider)}" \{{\n(.*?)^\}}', text, re.MULTILINE | re.DOTALL)
    if block is None:
        yield Finding(thing, False, f"{name} has no {provider}" if text else f"no {name}", "", why, fix)
        return
    hashes = re.findall(r'"(zh|h1):', block[1])
    if "zh" in hashes or len(hashes) >= (1 if _here() == _PLATFORM else 2):
        yield Finding(thing, ok=True, found=_version(block[1]))
    else:
        yield Finding(thing, False, f"{len(hashes)} hash(es) in {name}", f"also one for {_PLATFORM}", why, fix)


def provider_region(stack: Stack) -> Iterator[Finding]:
    """Check that the locked provider accepts the region's ARNs; older ones fail in the middle of the first apply.

    https://github.com/hashicorp/terraform-provider-aws/pull/45895 added support for the last of our resources.
    """
    path = stack.workplace / ".terraform.lock.hcl"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    found = re.search(rf'/{re.escape(_PROVIDER)}" \{{\s+version +=\s*"([\d.]+)"', text)
    if found is None or not stack.region.startswith(_SOVEREIGN):
        return
    if tuple(map(int, found[1].split("."))) < _SOVEREIGN_PROVIDER:
        wanted = ".".join(map(str, _SOVEREIGN_PROVIDER)) + " or newer"
        why = "it rejects this region's ARNs (invalid region value), so apply would stop half-way"
        fix = f"{program()} -chdir={stack.path(stack.workplace)} init -upgrade"
        yield Finding("provider and region", False, f"hashicorp/aws {found[1]} in {stack.region}", wanted, why, fix)


def initialised(stack: Stack) -> Iterator[Finding]:
    thing, backend = "terraform init", stack.backend
    missing = [name for name in ("bucket", "key", "region") if not backend.get(name)]
    has_provider = any((stack.data / "providers" / registry() / _PROVIDER).glob("*/*"))
    if has_provider and (not missing or stack.state_file is not None):
        place = stack.state_file or f"s3://{backend['bucket']}/{backend['key']}"
        yield Finding(thing, ok=True, found=f"state in {place}")
        return
    found = (
        "not run" if not backend else f"no {', '.join(missing)} in the backend" if missing else "no provider installed"
    )
    why = "plan would fail, and the state would exist only on this machine"
    yield Finding(thing, False, found, "the state's bucket, key and region", why, init(stack))


def init(stack: Stack) -> str:
    """Return the command that initialises this stack, with a placeholder for the bucket before the first time."""
    backend = Backend(
        bucket=stack.backend.get("bucket") or "YOUR_STATE_BUCKET",
        key=f"{stack.text('app_name')}/{stack.text('stage_name') or 'YOUR_STAGE'}.tfstate",
        region=stack.region or "YOUR_REGION",
    )
    packaged = (stack.folder / TERRAFORM).is_file()
    return backend.init() if packaged else f"make package && {backend.init()}"


def _version(block: str) -> str:
    found = re.search(r'version +=\s*"([^"]+)"', block)
    return f"{_PROVIDER} {found[1]}" if found else _PROVIDER


def _here() -> str:
    """Return this machine's platform in Terraform's terms."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return f"{sys.platform}_{machine}"
