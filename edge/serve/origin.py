"""Where a request comes from: the host name it asks for, and the web page that sent it.

Any page that a browser shows may send requests to 127.0.0.1, and a name of its own may lead there (DNS rebinding).
"""

import re
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers


def asked_host(headers: Headers) -> str:
    """The Host header, in lower case."""
    return headers.get("host", "").lower()


def served_under(host: str, names: Collection[str]) -> bool:
    """Whether a Host header, with or without a port, is one of `names` in lower case; "*": any.

    >>> served_under("localhost:8000", {"localhost"}), served_under("evil.example", {"localhost"})
    (True, False)
    """
    return "*" in names or re.sub(r":\d+$", "", host) in names


def same_origin(headers: Headers, host: str) -> bool:
    """Whether the request comes from a page of this server, or from a program that is not a browser."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")  # older browsers send only this; all send it with a WebSocket
    try:
        return origin is None or urlsplit(origin).netloc.lower() == host
    except ValueError:
        return False
