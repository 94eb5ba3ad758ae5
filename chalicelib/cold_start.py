"""What makes a cold start shorter; ``app.py`` imports it before the rest of this folder.

Measured with ``make bench-cold``; ``benchmarks/README.md`` has the figures. Whatever is put off here is imported all
the same as soon as something in it is asked for.
"""

import gc
import importlib.util
import sys
from typing import Any


def import_when_used(package: str, module: str) -> None:
    """Let ``from package import module`` give a module that is executed when something in it is first asked for.

    ``import package.module`` asks at once.
    """
    name = f"{package}.{module}"
    spec = None if name in sys.modules else importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        return
    spec.loader = importlib.util.LazyLoader(spec.loader)
    lazy = importlib.util.module_from_spec(spec)
    sys.modules[name] = lazy
    setattr(sys.modules[package], module, lazy)
    spec.loader.exec_module(lazy)


def import_parts_only(package: str) -> None:
    """Let modules of a package be imported without what its ``__init__`` imports.

    That is executed when something is asked for that is none of the modules imported so far.
    """
    spec = None if package in sys.modules else importlib.util.find_spec(package)
    if spec is None or spec.loader is None:
        return
    module, loader = importlib.util.module_from_spec(spec), spec.loader

    def whole(name: str) -> Any:
        del module.__getattr__
        loader.exec_module(module)
        return getattr(module, name)

    module.__getattr__ = whole  # type: ignore[method-assign]  # PEP 562
    sys.modules[package] = module


def begun() -> None:
    """What was imported stays for good: the collector need not look at it any more."""
    gc.freeze()
    gc.enable()


# Importing makes many objects and hardly any garbage.
gc.disable()
# Its client of key sets brings http.client, email and urllib.request; jwks.py has its own.
import_parts_only("jwt")
# Its metrics and its tracer, and botocore, to which it would add its name; only its logger is used.
import_parts_only("aws_lambda_powertools")
import_when_used("aws_lambda_powertools.utilities", "jmespath_utils")
# PyJWT imports it to recognise certificates that are given as HMAC secrets; building its patterns takes 20 ms.
import_when_used("cryptography", "x509")
# Keys may stand in a setting instead of being fetched.
import_when_used("http", "client")
