"""The versions of Python for which the callers' kit is installed and run."""

#: All that the wheel's metadata claims, and no others.
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
