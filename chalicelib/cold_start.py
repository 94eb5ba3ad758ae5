"""Import tricks that shorten a cold start. ``app.py`` imports this module before the rest of the package.

``make bench-cold-lines`` measures what each line saves; ``benchmarks/README.md`` has the figures. A deferred module is
still imported as soon as something in it is used.
"""

import gc
import importlib.util
import sys
from typing import Any


def import_when_used(package: str, module: str) -> None:
    """Defer a module: ``from package import module`` returns it, and its first use executes it.

    ``import package.module`` executes it at once.
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
    """Allow modules of a package to be imported without running its ``__init__``.

    The ``__init__`` runs once an attribute is requested that is not one of the modules imported so far.
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
    """Exempt everything imported so far from garbage collection: it stays for the life of the process."""
    gc.freeze()
    gc.enable()


# Importing creates many objects and hardly any garbage.
gc.disable()
# PyJWT's client for key sets imports http.client, email and urllib.request; jwks.py has its own.
import_parts_only("jwt")
# Only its logger is used. Its __init__ imports metrics, a tracer and botocore, to which it adds its name.
import_parts_only("aws_lambda_powertools")
# PyJWT imports it to detect certificates that are passed as HMAC secrets. Building its patterns takes 20 ms.
import_when_used("cryptography", "x509")
# Not needed if the signing keys come from a setting.
import_when_used("http", "client")
