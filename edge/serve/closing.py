"""How a WebSocket is closed: a code, and a line that says why."""

import asyncio
import json

from starlette.websockets import WebSocket, WebSocketDisconnect

NORMAL, UNSUPPORTED_DATA, INVALID_DATA = 1000, 1003, 1007
POLICY_VIOLATION, TOO_BIG, TRY_AGAIN_LATER = 1008, 1009, 1013
REASON_BYTES = 123
"""Of a close frame, at most (RFC 6455)"""
SEND_SECONDS = 10.0
"""s after which a client that reads nothing is given up"""


class Refused(Exception):
    """The connection is to be closed with this code and line."""

    def __init__(self, code: int, line: str) -> None:
        super().__init__(line)
        self.code, self.line = code, line


async def send_line(stream: WebSocket, line: str) -> None:
    """Send a text message; waits while the client reads nothing. Raises TimeoutError if it goes on like that, and
    WebSocketDisconnect if it is gone."""
    try:
        async with asyncio.timeout(SEND_SECONDS):
            await stream.send_text(line)
    except RuntimeError as error:  # uvicorn has closed the connection, say after a message that is too big
        raise WebSocketDisconnect(TOO_BIG) from error


async def close_with(stream: WebSocket, code: int, line: str) -> None:
    """Close an accepted connection: the line as an event of type "error", and, cut to what fits, as the reason."""
    reason = line.encode()[:REASON_BYTES].decode("utf-8", "ignore")
    try:
        if code != NORMAL:
            await send_line(stream, json.dumps({"type": "error", "code": code, "message": line}))
        await stream.close(code, reason)
    except (TimeoutError, RuntimeError, WebSocketDisconnect):  # the client is gone
        return
