"""The page's server limits the size of a request's body and the time in which it arrives."""

import asyncio

import pytest
from helpers import needs

from crnn.errors import InputError

needs("gradio", reason="needs the ui extra")


@pytest.fixture(scope="module")
def server():
    from edge.page import server  # imports Gradio

    return server


def request_of(*parts: bytes, ends: bool):
    """A request whose body arrives in `parts`; then it ends, or nothing more ever comes."""
    from starlette.requests import Request

    waiting = list(parts)

    async def receive() -> dict:
        if not waiting and not ends:
            await asyncio.Event().wait()
        body = waiting.pop(0) if waiting else b""
        return {"type": "http.request", "body": body, "more_body": bool(waiting) or not ends}

    return Request({"type": "http", "method": "POST", "path": "/", "headers": []}, receive)


def test_a_body_is_all_its_parts(server):
    assert asyncio.run(server._body(request_of(b"ab", b"c", ends=True), 3)) == b"abc"
    assert asyncio.run(server._body(request_of(ends=True), 3)) == b""


def test_one_byte_too_many_is_refused_before_the_rest_is_read(server):
    with pytest.raises(InputError, match="3 bytes"):
        asyncio.run(server._body(request_of(b"ab", b"cd", ends=False), 3))


def test_a_body_that_never_ends_is_given_up(server, monkeypatch):
    """The time limit has no effect on what follows."""
    monkeypatch.setattr(server, "BODY_SECONDS", 0.05)

    async def patient() -> str:
        with pytest.raises(InputError, match="0.05 s"):
            await server._body(request_of(b"ab", ends=False), 3)
        await asyncio.sleep(0.2)
        return "goes on"

    assert asyncio.run(patient()) == "goes on"


def test_the_time_limit_does_not_count_the_work_between_parts(server, monkeypatch):
    """The limit interrupts waiting for the browser, never the work between two parts."""
    monkeypatch.setattr(server, "BODY_SECONDS", 0.05)

    async def slow() -> list[bytes]:
        chunks = []
        async for chunk in server._chunks(request_of(b"ab", ends=True)):
            chunks.append(chunk)
            await asyncio.sleep(0.2)
        return chunks

    assert b"".join(asyncio.run(slow())) == b"ab"
