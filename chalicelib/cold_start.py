"""What makes a cold start shorter; ``app.py`` imports it before the rest of this folder.

Measured with ``make bench-cold``; ``benchmarks/README.md`` has the figures.
"""

import gc
import importlib.util
import sys


def import_when_used(package: str, module: str) -> None:
    """Let ``from package import module`` give a module that is executed when something in it is first asked for."""
    name = f"{package}.{module}"
    spec = None if name in sys.modules else importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        return
    spec.loader = importlib.util.LazyLoader(spec.loader)
    lazy = importlib.util.module_from_spec(spec)
    sys.modules[name] = lazy
    setattr(sys.modules[package], module, lazy)
    spec.loader.exec_module(lazy)


def begun() -> None:
    """What was imported stays for good: the collector need not look at it any more."""
    gc.freeze()
    gc.enable()


# Importing makes many objects and hardly any garbage.
gc.disable()
# PyJWT imports it to recognise certificates that are given as HMAC secrets; building its patterns takes 20 ms.
import_when_used("cryptography", "x509")
