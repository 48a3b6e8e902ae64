"""Gradio is imported whole, and does not write or read its stubs."""

import subprocess
import sys

from helpers import ROOT, needs

needs("gradio", reason="needs the ui extra")


def test_no_stub_is_touched_and_inspect_is_as_before():
    program = (
        "import inspect, sys; touched = []; find = inspect.getfile\n"
        "sys.addaudithook(lambda event, said: touched.append(said[0])"
        " if event == 'open' and str(said[0]).endswith('.pyi') else None)\n"
        "from edge.page.gradio_import import gradio\n"
        "assert touched == [], touched\n"
        "assert inspect.getfile is find and inspect.getfile(gradio.Textbox).endswith('textbox.py')\n"
        "with gradio.Blocks() as page: gradio.Textbox(); gradio.Audio()\n"
        "assert {type(block) for block in page.blocks.values()} >= {gradio.Textbox, gradio.Audio}\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr[-2000:]
