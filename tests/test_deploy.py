"""The installer prints its commands and runs no others; systemd accepts the service.

docs/raspberry-pi.md describes trials on a booted Debian and an emulated Raspberry Pi, which no test can boot.
"""

import configparser
import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from helpers import ROOT

from edge.audio.microphone import MicrophoneConfig

INSTALL = ROOT / "deploy" / "install.sh"
UNIT = ROOT / "deploy" / "ser-listen.service"
SERVE = ROOT / "deploy" / "ser-serve.service"
needs_debian = pytest.mark.skipif(not shutil.which("apt-get"), reason="needs Debian")
needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd")


def install(home: Path, *arguments: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"HOME": str(home)}
    return subprocess.run([INSTALL, *arguments], env=environment, capture_output=True, text=True, check=False)


@needs_debian
def test_a_dry_run_prints_every_step_and_changes_nothing(tmp_path):
    result = install(tmp_path, "--dry-run", "--allow-root", "--no-service")
    assert result.returncode == 0, result.stderr
    assert list(tmp_path.iterdir()) == []
    commands = [line for line in result.stdout.splitlines() if line.startswith("  + ")]
    for step in ("-m venv", "pip install --upgrade", "[mic,vad,rules]", "-m edge.doctor"):
        assert any(step in command for command in commands), step
    assert "systemctl" not in result.stdout


@needs_debian
def test_without_a_microphone_the_doctor_looks_for_none_and_no_service_starts(tmp_path):
    result = install(tmp_path, "--dry-run", "--allow-root", "--no-mic")
    assert result.returncode == 0, result.stderr
    assert "-m edge.doctor --no-mic" in result.stdout
    assert "systemctl" not in result.stdout


@needs_debian
def test_it_asks_for_no_password(tmp_path, monkeypatch):
    """sudo would ask on the terminal: one line says so instead, before anything is changed."""
    programs = {
        "id": "echo 1000",
        "dpkg-query": "exit 1",  # packages are missing
        "sudo": f'[ "$1" = --non-interactive ] || touch {tmp_path}/asked; exit 1',
    }
    for name, text in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    result = install(tmp_path, "--no-service")
    assert result.returncode == 2
    assert result.stderr.startswith("error: sudo needs a password") and result.stderr.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == set(programs)


@needs_debian
@pytest.mark.skipif(not shutil.which("systemctl"), reason="needs systemd")
def test_the_network_is_allowed_only_on_request(tmp_path):
    drop_in = f"{tmp_path}/.config/systemd/user/ser-listen.service.d/network.conf"
    without = install(tmp_path, "--dry-run", "--allow-root").stdout
    assert f"rm -f {drop_in}" in without
    assert f"deploy/network.conf {drop_in}" not in without
    assert "mqtt]" not in without
    allowed = install(tmp_path, "--dry-run", "--allow-root", "--network").stdout
    assert f"deploy/network.conf {drop_in}" in allowed
    assert "[mic,vad,rules,mqtt]" in allowed


@needs_debian
@pytest.mark.parametrize("options", [(), ("--no-mic",)])
def test_the_service_is_removed_with_its_program(tmp_path, monkeypatch, options):
    """Also where it is to be removed without a microphone; nothing is asked of systemd where there is no service."""
    systemctl = tmp_path / "bin" / "systemctl"
    systemctl.parent.mkdir()
    systemctl.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/asked\n')
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{systemctl.parent}:{os.environ['PATH']}")
    unit = tmp_path / ".config" / "systemd" / "user" / UNIT.name
    assert install(tmp_path, "--remove", "--allow-root", *options).returncode == 0
    assert not (tmp_path / "asked").exists()
    unit.parent.mkdir(parents=True)
    unit.write_text("")
    assert install(tmp_path, "--remove", "--allow-root", *options).returncode == 0
    assert (tmp_path / "asked").read_text() == f"--user disable --now {UNIT.name}\n--user daemon-reload\n"
    assert not unit.exists()


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
def test_the_trial_in_an_emulated_system_takes_no_folder_of_others(tmp_path):
    """It deletes FOLDER/system, and runs programs of FOLDER/empty as root."""
    script = ROOT / "benchmarks" / "device" / "arm64_install.sh"
    (tmp_path / "mine" / "system").mkdir(parents=True)
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", 65534, 65534)
    for name, why in (("mine", "holds other files"), ("theirs", "belongs to another user")):
        result = subprocess.run([script, tmp_path / name], capture_output=True, text=True, check=False)
        assert result.returncode == 2
        assert result.stderr.startswith(f"error: {tmp_path / name}: {why}")
    assert (tmp_path / "mine" / "system").is_dir()


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to be refused")
def test_root_is_refused(tmp_path):
    result = install(tmp_path)
    assert result.returncode == 2
    assert "root" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_option_is_refused(tmp_path):
    result = install(tmp_path, "--dryrun")
    assert result.returncode == 2
    assert result.stderr.startswith("error: ") and "--dryrun" in result.stderr
    assert result.stderr.count("\n") == 1


def test_the_sources_of_the_package_are_copied():
    line = next(line for line in INSTALL.read_text().splitlines() if line.startswith("SOURCES=("))
    sources = line.removeprefix("SOURCES=(").removesuffix(")").split()
    assert all((ROOT / source).exists() for source in sources)
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project, setuptools = settings["project"], settings["tool"]["setuptools"]
    packages = {pattern.rstrip("*") for pattern in setuptools["packages"]["find"]["include"]}
    modules = {f"{module}.py" for module in setuptools["py-modules"]}
    texts = {project["readme"], *(name for name in project["license-files"] if "/" not in name)}
    assert {"setup.py", "pyproject.toml", "configs"} | packages | modules | texts == set(sources)


@needs_systemd
def test_systemd_accepts_the_unit(tmp_path):
    """With another program in ExecStart, because ours is not installed here."""
    unit = tmp_path / UNIT.name
    program = "%h/.local/share/ser/venv/bin/ser-stream"
    text = UNIT.read_text()
    assert f"ExecStart={program} --mic --log %h/.local/state/ser/emotions.jsonl" in text
    unit.write_text(text.replace(program, shutil.which("true")))
    environment = os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)}
    command = ["systemd-analyze", "--user", "verify", str(unit)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


@needs_systemd
def test_systemd_accepts_the_unit_of_the_service(tmp_path):
    """As the one above."""
    unit = tmp_path / SERVE.name
    text, program = SERVE.read_text(), "/opt/ser/bin/ser-serve"
    assert f"ExecStart={program} $SER_OPTIONS" in text
    unit.write_text(text.replace(program, shutil.which("true")))
    command = ["systemd-analyze", "verify", str(unit)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def test_the_unit_of_the_service_serves_this_machine_alone():
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read(SERVE)
    service = unit["Service"]
    assert (service["IPAddressDeny"], service["IPAddressAllow"]) == ("any", "localhost")
    assert service["DynamicUser"] == service["PrivateTmp"] == service["ProtectHome"] == "yes"
    assert "token" not in service["ExecStart"], "others see a command line"


def test_the_unit_has_a_watchdog_and_reaches_nothing_else_of_the_manager():
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read(UNIT)
    service = unit["Service"]
    assert (service["Type"], service["Restart"], service["LimitCORE"]) == ("notify", "on-failure", "0")
    # The longest wait that is no fault: an audio system that does not answer, then a device without samples.
    waits = MicrophoneConfig()
    assert float(service["WatchdogSec"]) > 2 * (waits.open_seconds + waits.stall_seconds)
    assert service["TemporaryFileSystem"] == "%t/systemd:ro"
    assert service["BindPaths"] == "%t/systemd/notify"


def test_the_unit_has_no_network_and_the_drop_in_allows_it():
    unit, drop_in = (configparser.ConfigParser(strict=False, interpolation=None) for _ in range(2))
    for parser in (unit, drop_in):
        parser.optionxform = str
    unit.read(UNIT)
    drop_in.read(UNIT.with_name("network.conf"))
    assert unit["Service"]["PrivateNetwork"] == "yes"
    assert unit["Service"]["PrivateUsers"] == "yes"  # a user unit ignores the sandbox without it
    assert unit["Service"]["RestrictAddressFamilies"] == "AF_UNIX"
    assert drop_in["Service"]["PrivateNetwork"] == "no"
    assert set(drop_in["Service"]["RestrictAddressFamilies"].split()) == {"AF_UNIX", "AF_INET", "AF_INET6"}


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="needs shellcheck")
def test_shellcheck_finds_nothing():
    scripts = [INSTALL, *(ROOT / "benchmarks").rglob("*.sh")]
    result = subprocess.run(["shellcheck", *scripts], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
