"""WAV and AU files: where their samples really begin and end.

Recorders die before they write the length, pipes never learn it, phone applications count wrongly. What is there is
compared with what is promised: less is a cut; more is either further chunks, or a length that is wrong.
"""

from dataclasses import replace
from typing import BinaryIO

from crnn.decoders import NotDecodable
from crnn.decoders.headers import Header, parse, unknown
from crnn.decoders.pcm import FORMATS
from crnn.decoders.tags import tag_length

USUAL_HEADER = 128
"""Bytes: that much larger than what is there is no cut, where the whole file was counted instead of the samples"""
IGNORED = 64
"""Bytes behind the samples that are neither a chunk nor a tag"""
LOOKED_AT = 1 << 16
SOUND = (b"RIFF", b"RIFX", b"RF64", b"BW64", b"data")
"""Chunks with sound: they must not be skipped without an error"""


def locate(file: BinaryIO, start: int, stop: int) -> tuple[Header, int, int]:
    """The header of the file within `file[start:stop]`, and the bytes of its samples: first, and one behind the last.

    Raises NotDecodable if it was cut, or if its length leaves out what may be sound.
    """
    file.seek(start)
    header = parse(file.read)
    begin = start + header.length
    end = _end(file, header, begin, stop, is_wav=bool(header.chunks))
    if header.block[0]:  # libsndfile makes up the rest of an incomplete block
        end -= (end - begin) % header.block[0]
    if end <= begin:
        raise NotDecodable("holds no samples")
    return (replace(header, format=_justified(file, begin, end)) if header.ambiguous else header), begin, end


def for_libsndfile(header: Header, size: int) -> bytes:
    """A WAV header that is true, for codecs that are decoded by libsndfile."""
    data = b"data" + size.to_bytes(4, "little")
    return b"RIFF" + (4 + len(header.chunks) + len(data) + size).to_bytes(4, "little") + b"WAVE" + header.chunks + data


def check_w64(file: BinaryIO, start: int, stop: int) -> None:
    """Raises NotDecodable if sound may follow the end of a W64 file, which libsndfile would take for samples."""
    file.seek(start + 16)
    size = int.from_bytes(file.read(8), "little")
    end = start + size
    if not unknown(size) and stop - end > IGNORED and not _zeros(file, end, stop):
        raise _wrong_length(size, stop - end)


def _wrong_length(promised: int, behind: int) -> NotDecodable:
    return NotDecodable(
        f"wrong length in its header ({promised} bytes of samples, but {behind} more bytes follow them); "
        "if they are sound, repair it: ffmpeg -ignore_length 1 -i FILE out.wav"
    )


def _end(file: BinaryIO, header: Header, begin: int, stop: int, is_wav: bool) -> int:
    there, promised = stop - begin, header.promised
    if promised is None:
        return begin if is_wav and _only_chunks(file, begin, stop) else stop
    if promised > there:
        # The length of the whole file, or of all that follows its first 8 bytes, in place of the samples' own.
        if header.length <= USUAL_HEADER and promised - there in (header.length, header.length - 8):
            return stop
        raise NotDecodable(f"truncated (its header promises {promised} bytes of samples, {there} are there)")
    end = begin + promised
    behind = stop - end
    if behind <= IGNORED or (is_wav and _only_chunks(file, end, stop)) or _zeros(file, end, stop):
        return end
    raise _wrong_length(promised, behind)


def _only_chunks(file: BinaryIO, at: int, stop: int) -> bool:
    """Whether `file[at:stop]` is chunks and tags, the last of which may be cut: it holds no sound."""
    if at == stop:
        return False
    while stop - at >= 8:
        here = next((a for a in (at + at % 2, at, at + 1 - at % 2) if _is_chunk(file, a)), None)
        if here is not None:
            file.seek(here + 4)
            at = here + 8 + int.from_bytes(file.read(4), "little")
        elif tag := tag_length(file, at, stop):
            at += tag
        else:
            return stop - at <= IGNORED or _zeros(file, at, stop)
    return True


def _is_chunk(file: BinaryIO, at: int) -> bool:
    file.seek(at)
    name = file.read(4)
    return len(name) == 4 and all(32 <= byte < 127 for byte in name) and name not in SOUND


def _zeros(file: BinaryIO, at: int, stop: int) -> bool:
    file.seek(at)
    while at < stop:
        data = file.read(min(LOOKED_AT, stop - at))
        if not data or any(data):
            return False
        at += len(data)
    return True


def _justified(file: BinaryIO, begin: int, end: int):
    """24 bits in 4 bytes: the standard puts them in the upper three bytes, arecord in the lower three."""
    file.seek(begin)
    data = file.read(min(LOOKED_AT, end - begin) // 4 * 4)
    if not any(data[0::4]):
        return FORMATS["s32le"]
    if all(top == (0xFF if below & 0x80 else 0) for below, top in zip(data[2::4], data[3::4], strict=True)):
        return FORMATS["s24in32le"]
    raise NotDecodable("24 bits in 4 bytes, and not clear in which; convert it: sox FILE -b 16 out.wav")
