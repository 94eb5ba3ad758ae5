"""The guard on images in chats. A model server fetches a remote one, inside the network that it is in."""

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

_DATA_URL = re.compile(r"data:image/[a-z0-9.+-]{1,32};base64,[A-Za-z0-9+/]+={0,2}", re.ASCII)


def image_fault(url: str, hosts: Sequence[str]) -> str | None:
    """Return why a chat may not contain the image at this URL; None if it may.

    Args:
        hosts: names of the hosts from which images may come, in lower case.
    """
    allowed = f"an https URL at {' or '.join(hosts)}, or " if hosts else ""
    wanted = f"an image must be {allowed}a data URL such as data:image/png;base64,…"
    if url.startswith("data:"):
        return None if _DATA_URL.fullmatch(url) else wanted
    try:
        parts = urlsplit(url)
        is_usual = parts.scheme == "https" and parts.port is None and "@" not in parts.netloc
    except ValueError:
        return wanted
    return None if is_usual and parts.hostname in hosts else wanted
