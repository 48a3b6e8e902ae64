"""A malicious bundle with correct hashes is refused in one line and in limited time."""

import json
import shutil
from itertools import pairwise

import onnx
import pytest
from helpers import edit_json
from onnx import TensorProto, helper

from benchmarks.fuzz.model_files import _endless
from crnn.errors import InputError
from edge.bundle import PRETRAINED, Bundle
from edge.bundle import sandbox as proof
from edge.bundle.manifest import list_files
from edge.runtimes import tflite_check

SOUND = PRETRAINED.parent / "float32"
HEAD, ENCODER, TFLITE = "head.float32.onnx", "encoder.float32.onnx", "head.float32.tflite"


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(SOUND, tmp_path / "bundle")


def seal(folder) -> None:
    """Write the correct hashes of all files into the manifest."""
    (folder / "bundle.json").rename(folder.parent / "bundle.json")
    files = list_files(folder)
    (folder.parent / "bundle.json").rename(folder / "bundle.json")
    edit_json(folder / "bundle.json", lambda v: v.update(files=files))


def refused(folder, runtime: str, part: str) -> None:
    with pytest.raises(InputError, match=part) as caught:
        Bundle.open(folder).recognizer(runtime)
    assert str(caught.value).isprintable()


def test_a_copy_is_tried_once_in_a_child_process_and_then_runs(folder, monkeypatch):
    def fail(*_, **__):
        raise OSError(11, "no more processes")

    assert Bundle.open(folder).recognizer("onnx").labels
    monkeypatch.setattr(proof.subprocess, "run", fail)
    assert Bundle.open(folder).recognizer("onnx").labels, "not tried again"
    assert Bundle.open(SOUND).recognizer("onnx").labels, "what ships is not tried"
    refused(folder, "tflite", r"bundle: .*\(no more processes\)$")
    edit_json(folder / "bundle.json", lambda v: v["provenance"].update(corpus="another"))
    refused(folder, "onnx", "no more processes")


def loop(model) -> None:
    _endless(model.graph, helper, TensorProto)


def external(model) -> None:
    item = model.graph.initializer[0]
    item.data_location = TensorProto.EXTERNAL
    item.external_data.add(key="location", value="../../secret")


def enormous(model) -> None:
    model.graph.initializer[0].dims[0] = 2**40


def negative(model) -> None:
    model.graph.initializer[0].dims[0] = -1


def doubled(model) -> None:
    """A model of known operators that needs 2**30 times the memory."""
    names = ["steps", *(f"d{n}" for n in range(30))]
    made = [helper.make_node("Concat", [a, a], [b], axis=1) for a, b in pairwise(names)]
    made += [helper.make_node("ReduceSum", [names[-1]], ["sum"]), helper.make_node("Add", ["steps", "sum"], ["more"])]
    for node in model.graph.node:
        node.input[:] = ["more" if name == "steps" else name for name in node.input]
    nodes = [*made, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def padded(model) -> None:
    model.graph.node.insert(0, helper.make_node("MaxPool", ["steps"], ["x"], kernel_shape=[1], pads=[2**40, 0]))


def foreign(model) -> None:
    model.graph.node[0].domain = "evil\x1b[31m"


def text(model) -> None:
    model.graph.initializer[0].data_type = TensorProto.STRING


def function(model) -> None:
    model.functions.add(name="f", domain="")


def two_inputs(model) -> None:
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))


def of_integers(model) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64


def of_any_size(model) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "n"


def branches(model) -> None:
    body = helper.make_graph([], "then", [], [])
    model.graph.node.append(helper.make_node("If", ["steps"], ["y"], then_branch=body, else_branch=body))


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (loop, "operator Loop\\b"),
        (branches, "operator If\\b"),
        (external, "outside the file"),
        (enormous, r"constant .*\d+ values .*\d+ bytes"),
        (negative, r"constant .*\d+ values .*\d+ bytes"),
        (doubled, "bundle: ONNX Runtime .*(bad_alloc|allocate memory)"),
        (padded, "MaxPool .*1099511627776"),
        (foreign, r"evil\\x1b\[31m"),
        (text, "constant .*type 8"),
        (function, "functions"),
        (two_inputs, " 2 inputs"),
        (of_integers, "head.float32.onnx"),
        (of_any_size, "head.float32.onnx"),
    ],
)
def test_an_onnx_file_that_no_export_makes_is_refused(folder, change, part):
    model = onnx.load(folder / HEAD)
    change(model)
    (folder / HEAD).write_bytes(model.SerializeToString())
    seal(folder)
    refused(folder, "onnx", part)


@pytest.mark.parametrize("data", [b"", b"\x00", b"\xff" * 100, b"TFL3" * 10, b"\x08\x00\x00\x00TFL3" + b"\xff" * 64])
def test_files_that_are_no_models_are_refused(folder, data):
    for name, runtime in ((HEAD, "onnx"), (TFLITE, "tflite")):
        (folder / name).write_bytes(data)
        seal(folder)
        refused(folder, runtime, name)


def test_a_custom_or_unknown_tflite_operator_is_refused():
    data = bytearray((SOUND / TFLITE).read_bytes())
    tflite_check.check(bytes(data))
    codes = tflite_check._vector(bytes(data), tflite_check._follow(bytes(data), 0), tflite_check.OPERATOR_CODES)
    data[tflite_check._field(bytes(data), codes[0], 0)] = 119  # WHILE
    with pytest.raises(ValueError, match="119"):
        tflite_check.check(bytes(data))


CHILD = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); import edge.bundle.sandbox as p, edge.bundle as b; "


@pytest.mark.parametrize(
    ("what", "part"),
    [
        ("os.kill(os.getpid(), 11)", r"1024 MiB .*60 s .*\(status -11\)"),
        ("any(iter(int, 1))", r"\(status -"),
        ("bytearray(2**31)", "bundle: .*memory"),
        ("p.require(False, 'wrong\\x1b')", r"bundle: wrong\\x1b"),
        ("p.require(False, sys.argv[2] + ': wrong')", r"bundle: wrong$"),
        ("(p.sys.stderr.write('error: early\\n'), p.require(False, 'late'))", r"bundle: late"),
        ("sys.exit(2)", r"\(status 2\)"),
        (
            r"(print(1), p.sys.stderr.buffer.write(b'\xff\nerror: no'), sys.exit(3))",
            r"\(status 3\)",
        ),
        ("open(sys.argv[2] + '/new', 'wb', 0).write(b'x')", r"\(status 1\)"),
    ],
)
def test_faults_of_a_runtime_in_the_child_are_reported(folder, monkeypatch, capfd, what, part):
    code = f"{CHILD}import os; p.CPU_SECONDS = 1; b.Bundle.proved = lambda *_, **__: {what}; sys.exit(p.main())"
    monkeypatch.setattr(proof, "PROGRAM", code)
    monkeypatch.setattr(proof, "_passed", set())
    refused(folder, "onnx", part)
    assert capfd.readouterr() == ("", "")
    assert not (folder / "new").exists() or (folder / "new").stat().st_size == 0, "the child writes nothing"


def test_a_child_that_waits_for_ever_is_ended(folder, monkeypatch):
    monkeypatch.setattr(proof, "PROGRAM", "import time; time.sleep(600)")
    monkeypatch.setattr(proof, "SECONDS", 0.2)
    monkeypatch.setattr(proof, "_passed", set())
    refused(folder, "onnx", "bundle: .*onnx .*finish")


def test_the_child_has_the_bundle_the_runtime_one_thread_and_limits(folder, monkeypatch):
    """`proved` is replaced by what reports them; there is no input to wait for."""
    report = (
        "import resource as r; limits = [r.getrlimit(x)[0] for x in "
        "(r.RLIMIT_CPU, r.RLIMIT_DATA, r.RLIMIT_CORE, r.RLIMIT_FSIZE)]; "
        "p.require(False, repr([str(self.path), runtime, threads, limits, sys.stdin.read()]))"
    )
    code = f"{CHILD}exec({f'def proved(self, runtime, threads): {report}'!r}); b.Bundle.proved = proved; "
    monkeypatch.setattr(proof, "PROGRAM", code + "sys.exit(p.main())")
    monkeypatch.setattr(proof, "_passed", set())
    with pytest.raises(InputError) as caught:
        Bundle.open(folder).recognizer("onnx", threads=2)
    expected = [str(folder), "onnx", 1, [60, 2**30, 0, 0], ""]
    assert str(caught.value).startswith(f"{folder}: {expected}")


@pytest.mark.parametrize("name", ["golden.npz", "speakers.npz", HEAD, "bundle.json"])
def test_no_link_leads_out_of_a_bundle(folder, tmp_path, name):
    (folder / name).rename(tmp_path / "elsewhere")
    (folder / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=f"{name}: is a link"):
        Bundle.open(folder)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda v: v.update(labels=[f"l{n}" for n in range(10_000)]), "10000 labels"),
        (lambda v: v["labels"].__setitem__(0, "\x1b[2J"), r"'\\x1b\[2J' .*emotion"),
        (lambda v: v["labels"].__setitem__(0, "\u202eyppah"), r"'\\u202eyppah' .*emotion"),
        (lambda v: v["labels"].__setitem__(0, True), "labels.* str"),
        (lambda v: v.update(schema=True), "schema True"),
        (lambda v: v.update(schema=[4]), r"schema \[4\]"),
        (lambda v: v["features"].update(n_mels=10**9), "n_mels .* 1 to 512"),
        (lambda v: v["features"].update(n_mels=10**30), "not valid JSON"),
        (lambda v: v["features"].update(sample_rate=True), "sample_rate .*True"),
        (lambda v: v["features"].update(f_max=float("nan")), "NaN"),
        (lambda v: v["geometry"].update(window_hops=10**9), "window_intervals .*1000000000"),
        (lambda v: v["geometry"].update(window_hops=10**6), "window: 4000013224 "),
        (lambda v: v["decision"].update(temperature=1e-300), "temperature .*1e-300"),
        (lambda v: v.update(models={"onnx": None}), "models.onnx "),
        (lambda v: v.update(models={"\x1b": {}}), r"'\\x1b' .*runtime"),
        (lambda v: v["files"].update({"a\nb": {"sha256": "", "bytes": 0}}), r"'a\\nb' .*file name"),
        (lambda v: v["files"]["golden.npz"].update(sha256=None), "golden.npz.sha256.* str"),
    ],
)
def test_a_manifest_with_wrong_values_is_refused(folder, change, part):
    edit_json(folder / "bundle.json", change)
    with pytest.raises(InputError, match=part) as caught:
        Bundle.open(folder)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff{}", "null", "[]", '"x"', "{" * 1000, '{"schema": 4, "schema": 4}', '{"schema": 1e400}',
        '{"schema": ' + "9" * 5000 + "}", '{"schema": 4, "provenance": ' + "[" * 100 + "]" * 100 + "}", " " * 2_000_000,
    ],
)  # fmt: skip
def test_a_manifest_that_is_not_plain_json_is_refused(folder, text):
    (folder / "bundle.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"bundle\.json: "):
        Bundle.open(folder)


@pytest.mark.parametrize(
    "provenance",
    [{"tensors": []}, {"n_params": "x"}, {"pruning_steps": 3}, {"trained_model": {"dev": 1}}, {"made_with": []}],
)
def test_a_provenance_of_another_type_is_refused_in_one_line(folder, provenance, capsys):
    from edge.bundle.__main__ import main

    edit_json(folder / "bundle.json", lambda v: v.update(provenance=provenance, models={"hailo": v["models"]["onnx"]}))
    assert main([str(folder)]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert "provenance" in captured.err


def test_a_provenance_cannot_control_the_terminal(folder, capsys):
    from edge.bundle.__main__ import main

    hostile = {"corpus": "\x1b]0;title\x07", "protocol": "\u202ex"}
    edit_json(folder / "bundle.json", lambda v: v.update(provenance=hostile, models={"hailo": v["models"]["onnx"]}))
    assert main([str(folder)]) == 0
    assert "\x1b" not in (out := capsys.readouterr().out)
    assert "\\x1b]0;title\\x07" in out
    assert json.loads((folder / "bundle.json").read_text())["provenance"] == hostile
