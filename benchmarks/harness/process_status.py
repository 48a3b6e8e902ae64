"""What Linux says of a process while it runs."""

from pathlib import Path


def status(line: str, process: int | str = "self") -> int:
    """The number in a line of /proc/PROCESS/status. Raises OSError if there is no such process, LookupError if it has
    no such line, as one that has ended has none of its memory."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    found = [int(each.split()[1]) for each in lines if each.startswith(f"{line}:")]
    return found[0]


def rss_mb(line: str = "VmHWM", process: int | str = "self") -> float:
    """Resident set, MB (10^6 bytes): `VmHWM` is the largest, `VmRSS` the present one.

    getrusage and wait4 would report the parent's largest set if that is larger.
    """
    return status(line, process) * 1024 / 1e6
