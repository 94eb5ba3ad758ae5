"""The Lambda function: the authenticated front door to a queue of inference jobs.

``api`` is HTTP, ``jobs`` is admission and reading, ``callers`` is tokens and keys; ``wiring`` reads the environment and
builds the parts once per process. docs/architecture.md lists every module, and pyproject.toml the order of imports.
"""

__version__ = "0.1.0"
