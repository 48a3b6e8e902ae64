"""The servers limit the size of a request's body and the time in which it arrives."""

import asyncio

import pytest
from helpers import needs

from crnn.errors import InputError

needs("fastapi", reason="needs the serve or ui extra")


@pytest.fixture(scope="module")
def upload():
    from edge.serve import upload  # imports Starlette

    return upload


@pytest.mark.parametrize("there", [True, False])
def test_formats_that_need_pyav_are_offered_where_it_is_installed(upload, monkeypatch, there):
    monkeypatch.setattr(upload, "find_spec", lambda name: object() if there and name == "av" else None)
    assert ("M4A" in upload.formats()) is there
    assert "FLAC" in upload.formats()


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


def test_a_body_is_all_its_parts(upload):
    assert asyncio.run(upload.whole_body(request_of(b"ab", b"c", ends=True), 3)) == b"abc"
    assert asyncio.run(upload.whole_body(request_of(ends=True), 3)) == b""


def test_one_byte_too_many_is_refused_before_the_rest_is_read(upload):
    with pytest.raises(InputError, match="3 bytes"):
        asyncio.run(upload.whole_body(request_of(b"ab", b"cd", ends=False), 3))


def test_a_body_that_never_ends_is_given_up(upload, monkeypatch):
    """The time limit has no effect on what follows."""
    monkeypatch.setattr(upload, "BODY_SECONDS", 0.05)

    async def patient() -> str:
        with pytest.raises(InputError, match="0.05 s"):
            await upload.whole_body(request_of(b"ab", ends=False), 3)
        await asyncio.sleep(0.2)
        return "goes on"

    assert asyncio.run(patient()) == "goes on"


def test_the_time_limit_does_not_count_the_work_between_parts(upload, monkeypatch):
    """The limit interrupts waiting for the browser, never the work between two parts."""
    monkeypatch.setattr(upload, "BODY_SECONDS", 0.05)

    async def slow() -> list[bytes]:
        chunks = []
        async for chunk in upload.body_chunks(request_of(b"ab", ends=True)):
            chunks.append(chunk)
            await asyncio.sleep(0.2)
        return chunks

    assert b"".join(asyncio.run(slow())) == b"ab"
