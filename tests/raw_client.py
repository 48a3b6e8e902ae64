"""An HTTP client that sends exactly the given bytes: no cookies, no checks."""

import json
import socket
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

TIMEOUT = 60
"""s without an answer after which a server counts as hanging"""


@dataclass(frozen=True)
class Answer:
    """`code` is 0 if the server closed the connection without an answer."""

    code: int
    head: str
    text: str

    @property
    def error(self) -> str:
        return json.loads(self.text)["error"]


class Client:
    """Requests to one server, a connection each."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._address, self.host = (parts.hostname, parts.port), parts.netloc

    def send(self, data: bytes) -> Answer:
        """Send `data` unchanged; returns everything until the server closes the connection."""
        with socket.create_connection(self._address, timeout=TIMEOUT) as line:
            received = b""
            with suppress(BrokenPipeError, ConnectionResetError):  # answered before everything was sent
                line.sendall(data)
            with suppress(ConnectionResetError):
                while part := line.recv(65536):
                    received += part
        head, _, body = received.partition(b"\r\n\r\n")
        code = int(head.split(b" ", 2)[1]) if head else 0
        return Answer(code, head.decode("latin-1"), body.decode("utf-8", "replace"))

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """One request; `a_b` names the header a-b, None leaves it out."""
        fields = {"Host": self.host, "Connection": "close"}
        if body is not None:
            fields["Content-Length"] = str(len(body))
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value is not None)
        return self.send(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + (body or b""))
