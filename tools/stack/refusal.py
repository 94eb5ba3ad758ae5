"""The errors that stop ``make package``."""


class Refusal(Exception):
    """The package cannot be made; the message names the thing, its state and the fix. Nothing was written."""


class UnknownShape(Refusal):
    """Chalice wrote something that the merge does not know, and so cannot convert correctly."""

    def __init__(self, place: str, found: object, wanted: str) -> None:
        super().__init__(
            f"{place} in Chalice's Terraform is {found!r}, but the merge supports only {wanted}: pin chalice to the"
            " version in requirements/dev.txt, or add the new shape to tools/merge/"
        )
