"""When, by which command and by which version of this project something was made."""

import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from crnn.cli.installed import ROOT, installed_version, is_checkout


def origin(module: str, argv: list[str] | None) -> dict[str, str]:
    """`date` (UTC), `command` with its arguments (None: this process's own), `version`, and `commit` of a checkout: a
    short hash, with + if files differ from it, or "" without one."""
    arguments = sys.argv[1:] if argv is None else argv
    program = Path(sys.argv[0]).name
    script = ["-m", module] if "." in module else [f"{module}.py"]
    command = [program] if program.startswith("ser-") else ["python", *script]
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join([*command, *map(str, arguments)]),
        "version": installed_version(),
        "commit": _commit() if is_checkout() else "",
    }


def _commit() -> str:
    git = ["git", "-C", str(ROOT)]
    try:
        head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout
        changed = subprocess.run([*git, "diff", "--quiet", "HEAD"], capture_output=True, check=False).returncode
    except (OSError, subprocess.CalledProcessError):  # no git, or a copy without its history
        return ""
    return head.strip() + ("+" if changed else "")
