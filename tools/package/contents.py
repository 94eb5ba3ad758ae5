"""The files of Chalice's package that are shipped: all but a list of what no running function reads.

Chalice packs whole wheels: type stubs, licences, command line programs, a Swagger UI. All of it would be fetched and
unpacked at a cold start. Everything outside the list is shipped, so a new module of a package is never missing in
Lambda.
"""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from tools.package.bytecode import OURS
from tools.stack.refusal import Refusal

_UTILITIES = "helpers for other events than an API's, each imported by its user only"
#: Patterns of names within the package, and why no running code reads these files.
LEFT_OUT = {
    "*.pyi": "type stubs",
    "*/py.typed": "a mark for type checkers",
    "*.dist-info/*": "metadata; what reads it is in METADATA_READ",
    "*.data/*": "command line programs",
    "aws_lambda_powertools/event_handler/*": "its router, with a Swagger UI; ours is Chalice's",
    "aws_lambda_powertools/utilities/batch/*": _UTILITIES,
    "aws_lambda_powertools/utilities/data_classes/*": _UTILITIES,
    "aws_lambda_powertools/utilities/idempotency/*": _UTILITIES,
    "aws_lambda_powertools/utilities/kafka/*": _UTILITIES,
    "aws_lambda_powertools/utilities/parameters/*": _UTILITIES,
    "aws_lambda_powertools/utilities/parser/*": _UTILITIES,
    "cffi/*": "compiles native libraries; those of cryptography need _cffi_backend alone",
    "pycparser/*": "cffi's parser of C",
    "pydantic/mypy.py": "a plugin for the type checker",
    "pydantic/v1/*": "pydantic 1's models, imported only if a caller passes one",
}
#: Distributions whose METADATA is read in Lambda, and the code that reads it.
METADATA_READ = {"redis": "redis.utils.get_lib_version, which names the client to the server"}


def shipped(folder: Path) -> list[str]:
    """Return the sorted names, relative to the folder, of the shipped files of an unpacked package.

    Raises:
        Refusal: the package lacks one of our modules, or a pattern of the list no longer matches anything.
    """
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    names = [path.as_posix() for path in files if "__pycache__" not in path.parts]
    if missing := [each for each in OURS if not (folder / each).exists()]:
        raise Refusal(f"the package has no {missing[0]}: git add it, then make package again")
    for pattern in LEFT_OUT:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise Refusal(f"{pattern} is no longer in the package: remove it from tools/package/contents.py")
    return sorted(_kept(names))


def _kept(names: list[str]) -> Iterator[str]:
    for name in names:
        is_read = any(fnmatchcase(name, f"{each}-*.dist-info/METADATA") for each in METADATA_READ)
        if is_read or not any(fnmatchcase(name, pattern) for pattern in LEFT_OUT):
            yield name
