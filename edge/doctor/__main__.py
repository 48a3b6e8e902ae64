"""Describe this machine, try everything the recognizer needs, and say how to fix each problem.

python -m edge.doctor                  with the shipped model
python -m edge.doctor BUNDLE --json
python -m edge.doctor --no-mic         for a machine without a microphone

Exit code: 0 no problems (there may be warnings), 1 problems found, 2 bad input.
"""

from __future__ import annotations

from crnn.cli.interrupt import starting

if __name__ == "__main__":
    starting()

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from crnn.cli.command import command
from crnn.cli.installed import Parser, program
from crnn.errors import require
from edge.doctor.bundle_checks import check_bundle, check_runtimes
from edge.doctor.finding import Finding, State
from edge.doctor.machine import Machine, read_machine
from edge.doctor.microphone_checks import check_microphone
from edge.doctor.package_checks import check_numpy, check_recordings
from edge.doctor.system_checks import check_power, check_python, check_system

if TYPE_CHECKING:
    from edge.doctor.selftest import SelfTest


@dataclass(frozen=True)
class Report:
    """The results of all checks."""

    machine: Machine
    findings: tuple[Finding, ...]
    self_tests: tuple[SelfTest, ...]
    """One for each runtime that ran the bundle"""
    microphones: tuple[dict, ...]
    """Input devices, as edge.audio.microphone lists them"""

    @property
    def healthy(self) -> bool:
        """Whether nothing prevents the recognizer from running."""
        return not any(finding.state is State.PROBLEM for finding in self.findings)


def diagnose(bundle: Path | None = None, microphone: bool = True, root: Path = Path("/")) -> Report:
    """Examine this machine (kernel and device files below `root`) with a bundle (None: the shipped int8 model)."""
    machine = read_machine(root)
    findings = [check_python(machine), *check_system(machine), *check_power(machine)]
    tests: list[SelfTest] = []
    devices: list[dict] = []
    if findings[0].state is State.OK:
        findings.append(check_numpy())
        if findings[-1].state is State.OK:
            finding, opened = check_bundle(bundle)
            findings.append(finding)
            if opened:
                tried, tests = check_runtimes(machine, opened)
                findings += tried
        findings += check_recordings()
        if microphone:
            found, devices = check_microphone(root)
            findings += found
    return Report(machine, tuple(findings), tuple(tests), tuple(devices))


def as_text(report: Report) -> str:
    m = report.machine
    memory = f"{m.memory_mb} MiB of memory, {m.available_mb} available" if m.memory_mb else "memory unknown"
    lines = [
        f"{m.model or 'no board name'}: {m.processor}, {m.cores} cores, {m.architecture} kernel; int8: {m.int8_path}",
        f"{m.user_bits}-bit user space, {m.libc}; {memory}; governor {m.governor or 'unknown'}",
        "",
    ]
    for finding in report.findings:
        lines.append(f"{finding.state.value:8} {finding.name:15} {finding.what}")
        if finding.cure:
            lines.append(f"{'':24} cure: {finding.cure}")
    if any("pip install" in finding.cure for finding in report.findings):
        lines += ["", f"pip is the one of this Python: {sys.executable} -m pip"]
    n_problems = sum(finding.state is State.PROBLEM for finding in report.findings)
    n_warnings = sum(finding.state is State.WARNING for finding in report.findings)
    return "\n".join([*lines, "", f"{n_problems} problem(s), {n_warnings} warning(s)"])


def as_json(report: Report) -> str:
    return json.dumps({"healthy": report.healthy, **asdict(report)}, indent=2)


def build_parser() -> argparse.ArgumentParser:
    parser = Parser("edge.doctor", __doc__)
    parser.add_argument("bundle", nargs="?", type=Path, help="bundle folder (default: the shipped int8 model)")
    parser.add_argument("--no-mic", action="store_true", help="skip the microphone")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    return parser


@command
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    if args.bundle:
        require(args.bundle.is_dir(), f"{args.bundle}: no such folder; give a bundle made by {program('quantize')}")
    report = diagnose(args.bundle, microphone=not args.no_mic)
    sys.stdout.write((as_json if args.json else as_text)(report) + "\n")
    return 0 if report.healthy else 1


if __name__ == "__main__":
    sys.exit(main())
