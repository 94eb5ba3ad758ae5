"""What stops ``make package``."""


class Refusal(Exception):
    """Names the thing, what was found and what mends it; nothing was written."""


class UnknownShape(Refusal):
    """Chalice wrote something that the merge does not know, so what it would do to it cannot be right."""

    def __init__(self, place: str, found: object, wanted: str) -> None:
        super().__init__(
            f"{place} in Chalice's Terraform is {found!r}, but the merge knows {wanted} only: pin chalice to the"
            " version in requirements/dev.txt, or teach tools/merge/ the new shape"
        )
