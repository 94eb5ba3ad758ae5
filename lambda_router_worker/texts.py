"""Texts in pieces, cut anywhere by a model server."""


def whole_text(text: str) -> str:
    """Join surrogate halves, which two chunks of a stream may share. Replace unpaired ones with U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
