"""From the bytes of a recording to its samples, in blocks, once from front to back. No torch.

`recording` opens a file and chooses a decoder by its content, never by its name. A promised length (header, tag,
seek table) is compared with what is there before anything is decoded: a file that was cut is refused, a length that
the writer could not know is replaced by the real one.
"""

CONVERT = "if a player plays it, convert it: ffmpeg -i FILE out.wav"


class NotDecodable(ValueError):
    """Why a recording cannot be decoded, in one line without its name."""
