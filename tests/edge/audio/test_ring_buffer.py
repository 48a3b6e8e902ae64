"""The ring between callback and reader: the same frames in order, or an exact count of what is missing."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.audio.ring_buffer import SampleRing

FRAME = 2  # bytes: each frame is its own position, so that none can be mistaken for another


def frames(start: int, n: int) -> bytes:
    return b"".join(i.to_bytes(FRAME, "little") for i in range(start, start + n))


def numbers(data: bytes) -> list[int]:
    return [int.from_bytes(data[i : i + FRAME], "little") for i in range(0, len(data), FRAME)]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 9), st.integers(0, 3)),  # frames, and frames lost before them
        st.tuples(st.just("read"), st.just(0), st.just(0)),
    ),
    max_size=60,
)


@given(STEPS, st.integers(1, 4), st.integers(1, 5))
def test_what_is_read_is_what_was_written_or_counted_as_lost(steps, n_blocks, block_frames):
    ring = SampleRing(n_blocks, block_frames, FRAME)
    written = expected = 0
    lost_by_device = set()

    def read() -> bool:
        nonlocal expected
        block = ring.read(timeout=0)
        if block is None:
            return False
        assert block.lost >= 0
        positions = numbers(block.data)
        assert positions == list(range(expected + block.lost, expected + block.lost + len(positions)))
        assert 1 <= len(positions) <= block_frames
        assert not lost_by_device & set(positions)
        expected = positions[-1] + 1
        return True

    for what, n, lost in steps:
        if what == "write":
            lost_by_device |= set(range(written, written + lost))
            ring.write(frames(written + lost, n), 0.0, lost)
            written += lost + n
        else:
            read()
    while read():
        pass
    assert expected == max(set(range(written)) - lost_by_device, default=-1) + 1  # the newest is never lost


@given(st.lists(st.integers(1, 9), min_size=1, max_size=40))
def test_nothing_is_lost_while_it_fits(sizes):
    ring = SampleRing(len(sizes), 9, FRAME)
    for at, size in enumerate(sizes):
        ring.write(frames(sum(sizes[:at]), size), float(at))
    blocks = [ring.read(timeout=0) for _ in sizes]
    assert [block.lost for block in blocks] == [0] * len(sizes)
    assert [block.seconds for block in blocks] == list(range(len(sizes)))
    assert numbers(b"".join(block.data for block in blocks)) == list(range(sum(sizes)))


def test_a_block_is_a_copy():
    ring = SampleRing(1, 2, FRAME)
    ring.write(frames(0, 2), 0.0)
    block = ring.read(timeout=0)
    ring.write(frames(2, 2), 0.0)
    assert numbers(block.data) == [0, 1]


def test_two_threads_account_for_every_frame():
    ring = SampleRing(4, 50, FRAME)
    total = 60_000
    writer = threading.Thread(target=lambda: [ring.write(frames(at, 40), 0.0) for at in range(0, total, 40)])
    writer.start()
    expected = 0
    while expected < total:
        block = ring.read(timeout=60)
        assert block is not None
        assert numbers(block.data)[0] == expected + block.lost
        expected += block.lost + len(block.data) // FRAME
    writer.join()
    assert ring.read(timeout=0) is None


def test_a_ring_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        SampleRing(0, 1, 1)
