"""What a file is, by its first bytes. Names lie: recorders, messengers and people give any suffix to anything."""

from crnn.decoders.mpeg_frames import LONGEST_FRAME, is_run

MAGIC = (
    (b"RF64", "WAV"),
    (b"BW64", "WAV"),
    (b"fLaC", "FLAC"),
    (b"OggS", "Ogg"),
    (b".snd", "AU"),
    (b"dns.", "AU"),
    (b"caff", "CAF"),
    (b"riff\x2e\x91\xcf\x11", "W64"),
    (b"\x1aE\xdf\xa3", "WebM or Matroska"),
    (b"#!AMR", "AMR"),
    (b"0&\xb2u\x8ef\xcf\x11", "WMA"),
    (b"MAC ", "Monkey's Audio"),
    (b"wvpk", "WavPack"),
    (b"TTA1", "True Audio"),
    (b"\x0bw", "AC-3"),
    (b"NIST_1A", "NIST SPHERE"),
    (b"Creative Voice File", "VOC"),
    (b"FLV\x01", "Flash video"),
    (b".RMF", "RealMedia"),
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "ZIP"),
    (b"PK\x05\x06", "ZIP"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
    (b"(\xb5/\xfd", "Zstandard"),
    (b"Rar!", "RAR"),
    (b"%PDF", "PDF"),
    (b"\x89PNG", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF8", "GIF"),
    (b"\x7fELF", "program"),
    (b"\x93NUMPY", "NumPy"),
    (b"\x89HDF\r\n", "HDF5"),
    (b"SQLite format 3", "SQLite"),
)
WITH_AV = {"MP4 or M4A", "AAC", "WebM or Matroska", "AMR", "WMA", "AC-3", "Monkey's Audio", "WavPack", "True Audio",
           "Flash video", "RealMedia", "AVI"}  # fmt: skip
"""What libsndfile does not decode and FFmpeg does"""
HEAD_BYTES = 12288
"""What `identify` wants to see: four of the longest MPEG frames"""


def identify(head: bytes) -> str | None:
    """The kind of file that begins with `head` (best given HEAD_BYTES, at least 12); None if nothing is known of it.

    >>> identify(b"RIFF....WAVEfmt "), identify(b"RIFX....WAVEfmt "), identify(b"hello"), identify(bytes(64))
    ('WAV', 'WAV', None, None)
    """
    if head[:4] in (b"RIFF", b"RIFX"):
        return {b"WAVE": "WAV", b"AVI ": "AVI"}.get(head[8:12], "RIFF")
    if head[:4] == b"FORM":
        return "AIFF" if head[8:12] in (b"AIFF", b"AIFC") else "IFF"
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"skip") and head[:1] == b"\x00":
        return "MP4 or M4A"
    for magic, kind in MAGIC:
        if head.startswith(magic):
            return kind
    if _adts(head):
        return "AAC"
    return "MP3" if _mpeg(head) else None


def _adts(head: bytes) -> bool:
    """Two AAC frames in a row."""
    at = 0
    for _ in range(2):
        if len(head) < at + 7 or head[at] != 0xFF or head[at + 1] & 0xF6 != 0xF0:
            return False
        at += (head[at + 3] & 3) << 11 | head[at + 4] << 3 | head[at + 5] >> 5
    return at > 14


def _mpeg(head: bytes) -> bool:
    """MPEG audio begins with a frame; after zeros, or a frame whose beginning was cut off, it takes three in a row."""
    if is_run(head, 0, 2):
        return True
    first = len(head) - len(head.lstrip(b"\0"))
    return any(is_run(head, at, 3) for at in range(first, min(first + LONGEST_FRAME, len(head))) if head[at] == 0xFF)
