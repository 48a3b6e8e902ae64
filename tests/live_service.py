"""The service on a free port, in a thread of the test's process."""

import json
import socket
import threading
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import uvicorn
from processes import eventually
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from edge.loop.recognition import EmotionModel
from edge.serve.address import bind, names_of
from edge.serve.app import build_app
from edge.serve.limits import ServiceLimits
from edge.serve.run import settings_of
from edge.serve.streams import END, WEBSOCKETS

OFTEN = 1e6
"""Requests per minute: no limit"""
PATIENCE = 60
"""s"""


class Service:
    """Ended by `stop`. `limits`: of `ServiceLimits`."""

    def __init__(
        self, model: EmotionModel, folder: Path, token: str | None = None, send_buffer: int | None = None, **limits
    ) -> None:
        folder.mkdir()
        self.folder = folder
        settings = ServiceLimits(**{"max_per_minute": OFTEN} | limits)
        app = build_app(model, settings, names_of("127.0.0.1"), token, 2, folder)
        listening = bind("127.0.0.1", 0)
        if send_buffer:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        self.host = f"127.0.0.1:{listening.getsockname()[1]}"
        self.url = f"http://{self.host}"
        self._server = uvicorn.Server(settings_of(app, listening, **WEBSOCKETS))
        self._thread = threading.Thread(target=self._server.run, args=([listening],))
        self._thread.start()
        eventually(lambda: self._server.started, "the service starts")

    def upgrade(self, path: str) -> bytes:
        """The request that opens a WebSocket."""
        return (
            f"GET {path} HTTP/1.1\r\nHost: {self.host}\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        ).encode()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def ask(self, path: str, data: bytes | None = None, **headers: str) -> tuple[int, str, dict]:
        """Status, text and headers of the answer; `a_b` names the header a-b."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.url + path, data, names)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, answer.read().decode(), dict(answer.headers)
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(), dict(error.headers)

    def counted(self, name: str) -> float:
        """A metric; 0 if there is none yet."""
        lines = self.ask("/metrics")[1].splitlines()
        return next((float(line.split()[-1]) for line in lines if line.startswith(name)), 0.0)

    def connect(self, query: str = "", **headers: str) -> ClientConnection:
        return connect(
            f"ws://{self.host}/stream{query}", additional_headers=headers, compression=None, open_timeout=PATIENCE
        )


def stream(service: Service, pieces: list[bytes], query: str = "") -> list[dict]:
    """All events for audio that is sent in these pieces."""
    with service.connect(query) as line:
        for piece in pieces:
            line.send(piece)
        line.send(json.dumps(END))
        return [json.loads(message) for message in line]


def closed(line: ClientConnection) -> tuple[int, str]:
    """Code and reason with which the server closes the connection, and its last event agrees."""
    events = []
    with suppress(ConnectionClosed):
        while True:
            events.append(json.loads(line.recv(PATIENCE)))
    code, reason = line.close_code, line.close_reason
    if events:
        assert events[-1]["type"] == "error"
        assert events[-1]["code"] == code
        assert events[-1]["message"].startswith(reason)
        assert "\n" not in reason
        reason = events[-1]["message"]
    return code, reason
