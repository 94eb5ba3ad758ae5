"""Text for a terminal. Untrusted text cannot move the cursor, change colours or reverse the direction of writing."""


def visible(text: object) -> str:
    r"""Escape unprintable text as ``\x1b`` and the like: controls, line ends, direction marks, surrogate halves."""
    return "".join(each if each.isprintable() else _escaped(each) for each in str(text))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
