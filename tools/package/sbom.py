"""What a file contains or needs, as a CycloneDX document (version 1.6, JSON): every package with its version.

That of the zip names exactly what is in it. A document is the same for the same file: it has no time, and its serial
number is derived from the file's checksum.
"""

import csv
import importlib.metadata
import json
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.utils import canonicalize_name

from tools.package.bytecode import OURS
from tools.package.wheels import locked
from tools.stack.refusal import Refusal

APP = "lambda-router"
#: Folders in the package without metadata, and the distribution of each: Chalice adds its own runtime, and
#: ``tools/package/pages.py`` Swagger UI.
_INJECTED = {"chalice": "chalice", "flask_swagger_ui": "flask-swagger-ui"}
_OURS = frozenset(OURS)


def sbom(whole: Path, task: Path, requirements: str, build: str, sha256: str) -> str:
    """Return the document.

    Args:
        whole: Chalice's unpacked package, with the metadata of every wheel.
        task: the shipped part of it.
        requirements: the lock file's text.
        build, sha256: those of the zip.

    Raises:
        Refusal: a shipped file comes from no locked package.
    """
    return document(APP, build, sha256, _shipped(whole, task, requirements))


def document(app_name: str, app_version: str, sha256: str, packages: Iterable[tuple[str, str]]) -> str:
    """Return the document of a file with that checksum, and of packages by name and version."""
    app = Component(
        type=ComponentType.APPLICATION,
        name=app_name,
        version=app_version,
        bom_ref=f"{app_name}@{app_version}",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=sha256)],
    )
    bom = Bom()
    for name, version in packages:
        purl = PackageURL("pypi", name=name, version=version)
        kind, ref = ComponentType.LIBRARY, purl.to_string()
        bom.components.add(Component(type=kind, name=name, version=version, purl=purl, bom_ref=ref))
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_URL, f"sha256:{sha256}")
    bom.metadata.component = app
    bom.register_dependency(app, bom.components)
    written = json.loads(JsonV1Dot6(bom).output_as_string())
    del written["metadata"]["timestamp"]
    return json.dumps(written, indent=2, sort_keys=True) + "\n"


def _shipped(whole: Path, task: Path, requirements: str) -> Iterator[tuple[str, str]]:
    """Yield name and version of every package that has a shipped file."""
    found = (path for path in task.rglob("*") if path.is_file() and path.parent.name != "__pycache__")
    sources = (
        path.with_suffix(".py") if path.suffix == ".pyc" else path for path in found
    )  # shipped as bytecode alone
    files = {path.relative_to(task).as_posix() for path in sources}
    left = {name for name in files if name.split("/")[0] not in _OURS}
    for pin in locked(requirements):
        name, _, version = pin.partition("==")
        brought = _files_of(whole, name) & files
        left -= brought
        if brought:
            yield name, version
    for folder, name in _INJECTED.items():
        brought = {path for path in left if path.startswith(f"{folder}/")}
        left -= brought
        if brought:
            yield name, importlib.metadata.version(name)
    if left:
        raise Refusal(
            f"{min(left)} is in the package, but no package of requirements.txt contains it, so the SBOM"
            " would be wrong: remove it, or name its package in requirements/function.in, then make lock"
        )


def _files_of(whole: Path, name: str) -> set[str]:
    """Return the files that a wheel installed, by its RECORD (PyPA, "Recording installed projects")."""
    for info in whole.glob("*.dist-info"):
        if canonicalize_name(info.name.partition("-")[0]) == name and (info / "RECORD").exists():
            with (info / "RECORD").open(newline="") as record:
                return {row[0] for row in csv.reader(record) if row}
    return set()
