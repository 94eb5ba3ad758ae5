"""Marks of the contract tests."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "package: builds the deployment package, for which pip may need the network")
