"""The address that is served on, and the names by which this machine calls itself."""

import socket
from ipaddress import ip_address

from crnn.errors import InputError


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to `host`.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0"), is_loopback("pi.local")
    (True, True, False, False)
    """
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def names_of(host: str) -> list[str]:
    """What a Host header may hold, without the port: local names at a local address, else anything.

    >>> names_of("0.0.0.0")
    ['*']
    """
    return ["localhost", "127.0.0.1", "[::1]", host] if is_loopback(host) else ["*"]


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises InputError if the address cannot be used."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise InputError(
            f"{host}, port {port}: cannot be served on ({error}); give another --host or --port"
        ) from error


def url(host: str, listening: socket.socket) -> str:
    """Where a browser finds the server."""
    return f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
