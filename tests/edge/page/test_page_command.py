"""The page's command line: bad values, missing packages, another host."""

import subprocess
import sys

from helpers import ROOT, needs, one_clear_line

from edge.page.__main__ import open_bundles

needs("gradio", reason="needs the ui extra")


def test_the_command_line_names_what_is_wrong(tmp_path):
    def run(*arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "edge.page", *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)

    one_clear_line(run(str(tmp_path)), str(tmp_path), "not a bundle")
    one_clear_line(run("--max-seconds", "0"), "max_seconds", " 0")
    one_clear_line(run("--host", "192.0.2.1"), "192.0.2.1", "--host")
    one_clear_line(run("--runtime", "openvino"), "openvino")


def test_a_missing_package_is_named():
    code = (
        "import importlib.util as u, sys; find = u.find_spec; "
        "u.find_spec = lambda name, *more: None if name == 'gradio' else find(name, *more); "
        "import edge.page.__main__ as page; sys.exit(page.main([]))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    one_clear_line(result, "gradio", "pip install")


def test_another_host_is_served_with_a_warning():
    """Without Gradio, which takes seconds to import and knows nothing of the host."""
    code = (
        "import sys; from types import SimpleNamespace as Module;"
        "sys.modules['edge.page.server'] = Module(build_app=lambda *settings: settings);"
        "import edge.page.__main__ as page; page.run = lambda app, listening, **more: sys.stdout.write(repr(app[5]));"
        "sys.exit(page.main(['--port', '0', '--host', '0.0.0.0']))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    address, names = result.stdout.splitlines()
    assert address.startswith("http://0.0.0.0:")
    assert "*" in names, "whoever can reach it may name it in any way"
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1
    assert "no password" in lines[0]


def test_the_small_bundles_that_ship_are_offered():
    assert list(open_bundles([])) == ["shipped: int8", "shipped: float32"], "the page cannot explain a larger one"
