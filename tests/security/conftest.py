"""What the security tests share with the unit tests: the forge, the verifier that knows its key, the log."""

from tests.unit.conftest import forge, log_lines, verifier

__all__ = ["forge", "log_lines", "verifier"]
