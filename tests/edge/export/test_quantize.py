"""quantize.py as a user runs it: what it prints and writes, and what it refuses."""

import json
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import torch
from helpers import ROOT, bundle_arguments, called, edit_json, make_bundle, one_clear_line, started

import quantize
from edge.bundle import PRETRAINED
from edge.export.tflite_export import installed as tflite_extra
from edge.runtimes import REGISTRY

ROW = {"scheme", "max_abs_diff", "flip_rate", "uar", "uar_drop", "ece", "ms_per_window", "rtf", "failures"} | {
    "files", "runtime", "bytes", "ships",
}  # fmt: skip


def provenance(folder) -> dict:
    return json.loads((folder / "bundle.json").read_text())["provenance"]


def same_bytes(first, second) -> None:
    first, second = ({p.name: p.read_bytes() for p in folder.iterdir()} for folder in (first, second))
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []


TARGET = 30_000
PRUNED = ("--formats", "onnx", "--target-size", str(TARGET), "--json")


@pytest.fixture(scope="module")
def elsewhere(small_run, cache, tmp_path_factory):
    """What another interpreter, whose hashes have another seed, makes: a bundle as `bundle_path`, one that is pruned,
    and what it printed."""
    folder = tmp_path_factory.mktemp("elsewhere")
    made = [
        [*map(str, bundle_arguments(small_run, folder / "whole", cache, "--json"))],
        [*map(str, bundle_arguments(small_run, folder / "pruned", cache, *PRUNED))],
    ]
    code = f"import quantize\nfor argv in {made!r}: assert quantize.main(argv) == 0"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    return SimpleNamespace(whole=folder / "whole", pruned=folder / "pruned", printed=result.stdout)


def test_json_is_the_only_thing_on_standard_output_and_the_same_run_gives_the_same_bytes(bundle_path, elsewhere):
    """Also with the TFLite converters, which print."""
    first, _ = elsewhere.printed.splitlines()
    printed = json.loads(first)
    assert printed["bytes"] == whole(elsewhere.whole)
    assert printed["steps"] == [], "nothing is pruned unless asked for"
    assert provenance(elsewhere.whole)["pruning"] == 0
    rows = printed["rows"]
    assert [set(row) for row in rows] == [ROW] * len(rows)
    wanted = {(n, s) for n, r in REGISTRY.items() for s in r.schemes if n == "onnx" or tflite_extra()}
    assert [(row["runtime"], row["scheme"]) for row in rows if row["ships"]] == [
        (name, runtime.int8) for name, runtime in REGISTRY.items() if name == "onnx" or tflite_extra()
    ]
    assert {(row["runtime"], row["scheme"]) for row in rows} == wanted
    same_bytes(bundle_path, elsewhere.whole)


def test_a_scheme_that_a_runtime_lacks_is_refused(small_run, tmp_path):
    arguments = ("--formats", "tflite", "--scheme", "static_int8")
    result = called(quantize.main, small_run, "--out", tmp_path / "b", *arguments)
    one_clear_line(result, *(["--scheme static_int8: tflite"] if tflite_extra() else ["pip install -e '.[tflite]'"]))


def test_past_a_limit_the_table_names_every_file_and_nothing_is_written(small_run, cache, tmp_path):
    result = make_bundle(small_run, tmp_path / "b", cache, "--formats", "onnx", "--max-abs-diff-int8", "0", here=True)
    assert result.returncode == 1
    assert "static_int8.onnx + head.dynamic_int8.onnx: " in result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].split()[:4] == ["files", "runtime", "scheme", "bytes"]
    assert [line.split()[4] for line in lines[1:5]] == ["float32", "float16", "dynamic_int8", "static_int8"]
    assert [line.endswith("ships") for line in lines[1:5]] == [False, False, False, True]
    assert list(tmp_path.iterdir()) == []


def test_a_scheme_that_does_not_ship_may_be_past_a_limit_and_a_target_that_is_met_prunes_nothing(
    small_run, cache, tmp_path
):
    arguments = ("--formats", "onnx", "--max-abs-diff-int8", "0", "--scheme", "float16")
    arguments += ("--target-size", "1MB", "--target-rtf", "5")
    result = make_bundle(small_run, tmp_path / "b", cache, *arguments, here=True)
    assert result.returncode == 0, result.stderr[-2000:]
    assert "past a limit" in result.stdout
    assert str(tmp_path / "b") in result.stdout.splitlines()[-1]
    assert {p.name for p in (tmp_path / "b").glob("*.onnx")} == {"encoder.float16.onnx", "head.float16.onnx"}
    assert provenance(tmp_path / "b")["pruning"] == 0


@pytest.fixture
def run_copy(small_run, tmp_path):
    return shutil.copytree(small_run, tmp_path / "run")


def edit_config(run, change) -> None:
    edit_json(run / "config.json", change)


def edit_weights(run, change) -> None:
    path = run / "checkpoints" / "best.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    change(checkpoint["state_dict"])
    torch.save(checkpoint, path)


BROKEN = {
    "no run": (lambda run: shutil.rmtree(run), ["config.json", "not a finished run"]),
    "unfinished": (lambda run: (run / "metrics.json").unlink(), ["metrics.json"]),
    "no development figures": (
        lambda run: edit_json(run / "metrics.json", lambda v: v.pop("dev")),
        ["metrics.json", "development speakers", "train again"],
    ),
    "no checkpoint": (lambda run: (run / "checkpoints" / "best.ckpt").unlink(), ["best.ckpt", "train again"]),
    "older version": (lambda run: edit_config(run, lambda v: v.update(schema=0)), ["schema 0"]),
    "unknown key": (lambda run: edit_config(run, lambda v: v["run"].update(fast=True)), ["unknown key fast"]),
    "another configuration": (
        lambda run: edit_config(run, lambda v: v["run"]["model"].update(channels=[8, 8, 8, 9])),
        ["best.ckpt", "does not fit"],
    ),
    "NaN weights": (
        lambda run: edit_weights(run, lambda s: s["model.head.classifier.bias"].fill_(float("nan"))),
        ["best.ckpt", "head.classifier.bias", "NaN"],
    ),
    "other recordings": (
        lambda run: edit_json(run / "split.json", lambda v: v.update(split_hash="000000000000")),
        ["000000000000", "train again"],
    ),
    "speakers unknown": (
        lambda run: edit_json(run / "split.json", lambda v: v.pop("heard")),
        ["split.json", "trained"],
    ),
    "a label set per corpus": (
        lambda run: edit_config(run, lambda v: v["run"].update(protocol="cross-all-labels")),
        ["cross-all-labels", "label set per corpus", "--init"],
    ),
    "moved recordings": (
        lambda run: edit_config(run, lambda v: v.update(data={"synthetic": "/nowhere"})),
        ["/nowhere", "no such folder"],
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_an_unusable_run_is_refused(case, run_copy, cache, tmp_path):
    damage, parts = BROKEN[case]
    damage(run_copy)
    one_clear_line(make_bundle(run_copy, tmp_path / "b", cache, "--formats", "onnx", here=True), *parts)
    assert not (tmp_path / "b").exists()


def test_a_checkpoint_that_would_run_code_is_not_unpickled(run_copy, cache, tmp_path):
    import pickle

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    (run_copy / "checkpoints" / "best.ckpt").write_bytes(pickle.dumps(Evil()))
    one_clear_line(make_bundle(run_copy, tmp_path / "b", cache, "--formats", "onnx", here=True), "best.ckpt")
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--prune", "1"),
        ("--prune", "nan"),
        ("--target-rtf", "0"),
        ("--target-size", "250 bananas"),
        ("--target-size", "-1kB"),
        ("--plot", "steps.txt"),
        ("--plot", "/nowhere/steps.svg"),
        ("--plot", "/proc/steps.svg"),
        ("--coverage", "0"),
        ("--temperature", "0"),
        ("--temperature", "nan"),
        ("--fine-tune-epochs", "-1"),
    ],
)
def test_values_out_of_range_are_refused(option, value, small_run, tmp_path):
    prunes = ("--prune", "0.1") if "epochs" in option else ()
    result = called(quantize.main, small_run, "--out", tmp_path / "b", *prunes, f"{option}={value}")
    one_clear_line(result, *(("epochs", "-1") if "epochs" in option else (option,)))


def test_fine_tuning_of_what_is_not_pruned_is_refused(small_run, tmp_path):
    result = called(quantize.main, small_run, "--out", tmp_path / "b", "--fine-tune-epochs", 3)
    one_clear_line(result, "--fine-tune-epochs", "--prune or a target")


def test_a_plot_path_that_cannot_be_written_is_refused(small_run, tmp_path):
    (tmp_path / "steps.svg").mkdir()
    result = called(quantize.main, small_run, "--out", tmp_path / "b", "--plot", tmp_path / "steps.svg")
    one_clear_line(result, "steps.svg: ", "folder")
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("missing", "module", "arguments"),
    [
        ("torch", "quantize", [str(PRETRAINED.with_name("float32")), "--out", "BUNDLE"]),
        ("torch", "edge.evaluate.__main__", [str(PRETRAINED), "--data", "emodb:FOLDER"]),
    ],
)
def test_a_missing_package_is_named(missing, module, arguments):
    code = f"import sys; sys.modules[{missing!r}] = None; from {module} import main; sys.exit(main({arguments!r}))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    one_clear_line(result, module.removesuffix(".__main__"), missing, "pip install -e '.[train")


def test_a_size_in_two_words_is_refused(small_run, tmp_path):
    result = called(quantize.main, small_run, "--out", tmp_path / "b", "--target-size", "250", "bananas")
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].endswith("unrecognized arguments: bananas")


def whole(bundle) -> int:
    return sum(path.stat().st_size for path in bundle.iterdir())


def test_a_target_size_is_of_the_whole_bundle_and_the_same_run_gives_the_same_bytes(
    small_run, elsewhere, cache, tmp_path
):
    plot = ("--plot", tmp_path / "steps.svg")
    result = make_bundle(small_run, tmp_path / "small", cache, *PRUNED, *plot, here=True)
    assert result.returncode == 0, result.stderr[-2000:]
    same_bytes(tmp_path / "small", elsewhere.pruned)
    printed = json.loads(result.stdout)
    first, last = printed["steps"][0], printed["steps"][-1]
    assert printed["bytes"] == whole(tmp_path / "small") <= TARGET
    assert printed["bytes"] > 0.8 * TARGET, "more was pruned than the target needs"
    assert first["bytes"] > 1.1 * TARGET, "the target asks for pruning"
    assert abs(last["bytes"] - printed["bytes"]) < 0.03 * TARGET, "the size in the step table is that of the bundle"
    assert (first["share"], first["channels"], first["lstm_units"]) == (0.0, [8, 8, 8, 8], 16)
    for key in ("bytes", "macs_per_window", "n_params", "lstm_units"):
        assert last[key] < first[key]
    assert "<svg" in (tmp_path / "steps.svg").read_text()[:1000]
    origin = provenance(tmp_path / "small")
    assert origin["pruning"] == last["share"]
    assert origin["model"]["channels"] == last["channels"]
    assert origin["model"]["lstm_units"] == last["lstm_units"] == origin["pruning_steps"][-1]["lstm_units"]
    assert origin["macs_per_window"] == last["macs_per_window"]
    assert [step["bytes"] for step in origin["pruning_steps"]] == [step["bytes"] for step in printed["steps"]]


UNMET = {
    "size beyond reach": (("--target-size", "4kB"), ["--target-size 4,000 bytes ", " 90%"]),
    "time beyond reach": (("--target-rtf", "1e-9"), ["--target-rtf 1e-09 ", "the best"]),
    "contradiction": (
        ("--prune", "0.05", "--target-size", "16kB"),
        ["--prune 0.05 ", "--target-size 16,000 bytes"],
    ),
    "loses too much": (
        ("--prune", "0.9", "--fine-tune-epochs", "0", "--max-uar-drop", "-0.9"),  # pruning would have to gain UAR
        ["--prune 0.9 ", "19% pruned", "(limit -90)", " 0% pruned"],
    ),
}


@pytest.mark.parametrize("case", UNMET)
def test_an_impossible_target_reports_the_best_and_writes_nothing(case, small_run, cache, tmp_path):
    arguments, parts = UNMET[case]
    plot = ("--plot", tmp_path / "steps.svg")
    result = make_bundle(small_run, tmp_path / "b", cache, "--formats", "onnx", *plot, *arguments, here=True)
    one_clear_line(result, *parts)
    assert list(tmp_path.iterdir()) == []
    if case == "loses too much":
        head, *steps = result.stdout.splitlines()
        assert head.split()[:3] == ["pruned", "channels", "LSTM"]
        assert [line.split()[0] for line in steps] == ["0%", "19%"], "stops after a hopeless step"


def test_an_interrupted_run_leaves_nothing(small_run, cache, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    command = (small_run, "--out", out / "b", "--cache", cache, "--formats", "onnx")
    command += ("--prune", "0.25", "--fine-tune-epochs", "50")
    running = started("quantize.py", *command, errors=tmp_path / "said")
    for _ in range(2400):
        if "Epoch 1" in (said := (tmp_path / "said").read_text() if (tmp_path / "said").exists() else ""):
            break
        assert running.poll() is None, said[-2000:]
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    assert running.wait(timeout=120) == 130
    assert (tmp_path / "said").read_text().splitlines()[-1].startswith("interrupted")
    assert list(out.iterdir()) == []


def test_out_must_not_exist_and_must_be_writable(small_run, cache, tmp_path):
    one_clear_line(make_bundle(small_run, tmp_path, cache, here=True), str(tmp_path), "exists already")
    one_clear_line(make_bundle(small_run, "/proc/nowhere/b", cache, "--formats", "onnx", here=True), "/proc/nowhere")
