"""Text for a terminal: what strangers wrote cannot move the cursor, colour lines or turn them round."""


def visible(text: object) -> str:
    r"""With ``\x1b`` and the like for what cannot be seen: controls, line ends, marks of direction, half surrogates."""
    return "".join(each if each.isprintable() else _escaped(each) for each in str(text))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
