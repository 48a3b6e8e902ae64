"""No telemetry: ONNX Runtime writes none of its telemetry files."""

import os
import subprocess
import sys

from helpers import ROOT

RUN = "from edge.bundle import PRETRAINED, Bundle; Bundle.open(PRETRAINED).recognizer('onnx')"


def test_the_runtime_makes_no_telemetry_files(tmp_path):
    places = {"TMPDIR": "temp", "HOME": "home", "XDG_CACHE_HOME": "home"}
    for name in set(places.values()):
        (tmp_path / name).mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ORT_", "XDG_"))}
    environment |= {name: str(tmp_path / place) for name, place in places.items()}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", RUN], cwd=tmp_path, env=environment, check=True, timeout=120)
    made = [path for path in tmp_path.rglob("*") if path.name not in places.values()]
    assert made == []
