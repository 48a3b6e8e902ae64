"""The larger bundle on corpora that were left out, as a device computes it, alone and with the small model beside it.

    SER_DATA=FOLDER SER_ENCODER=FOLDER python -m benchmarks.accuracy.large BUNDLE --fold 1 --beside RUN

Per fold of leave-one-corpus-out: the regression is fitted without the corpus, its head joins the quantized encoder of
BUNDLE (which is the same whatever the corpora are), and every test clip is streamed in windows. With --beside also
together with the model of a run of train.py on the same fold, in float32. Rows go to
benchmarks/results/cross_corpus.json, and to confidence.json what the confidence is worth there, of both together if
there are two. Nothing is chosen but temperature and threshold, on development speakers of the other corpora.
"""

import argparse
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks.accuracy.across_corpora import confidence_of, write, write_confidence
from benchmarks.harness import corpora, recipes
from crnn.cli.command import command
from crnn.data.prepare import Prepared
from crnn.errors import require
from crnn.metrics import summarize_by_corpus
from crnn.training.run_folder import RunFolder
from edge.bundle import WINDOW, Bundle, ModelFiles, build_recognizer
from edge.export import onnx_export
from edge.export.large import Fitted, LargeRequest, fit_large, prepare_large
from edge.export.onnx_export import RUNTIME
from edge.export.source import draft_of
from edge.export.trained import load_trained
from edge.export.verify import stream_clips, torch_recognizer
from edge.export.window_encoder import head_part
from edge.runtimes import WEIGHT_INT8
from edge.stream.decision import probabilities
from edge.stream.pair_recognizer import PairRecognizer
from edge.stream.recognizer import StreamingRecognizer
from edge.stream.window_recognizer import WindowRecognizer


def request_of(fold: int) -> LargeRequest:
    return LargeRequest(
        corpora.speech_encoder(),
        Path(tempfile.gettempdir()) / "never written",
        corpora.folders(recipes.LEAVE_ONE_OUT, fold),
        recipes.LEAVE_ONE_OUT,
        fold,
        recipes.WITHOUT_LABELS,
    )


def recognizer_of(fitted: Fitted, bundle: Bundle, folder: Path) -> StreamingRecognizer:
    """The encoder of `bundle` with the head of another regression, from files in `folder`; without a small model."""
    files = ModelFiles(WEIGHT_INT8, "encoder.onnx", "head.onnx")
    (folder / files.encoder).symlink_to((bundle.path / bundle.manifest.model_files(RUNTIME).encoder).resolve())
    onnx_export.export(head_part(fitted.head), folder / files.head)
    alone = replace(bundle.manifest, arousal=False, beside=None)
    manifest = replace(alone, labels=fitted.labels, models={RUNTIME: asdict(files)})
    return build_recognizer(folder, manifest, RUNTIME, threads=1)


def pair_of(large: WindowRecognizer, run: Path) -> PairRecognizer:
    """That recognizer with the model of a run of train.py beside it, in torch."""
    trained = load_trained(RunFolder(run))
    return PairRecognizer(large, torch_recognizer(trained.model, draft_of(trained.config, large.labels)))


def evaluate(bundle: Bundle, request: LargeRequest, prepared: Prepared, beside: Path | None) -> None:
    """Write the rows of one fold."""
    fitted, split = fit_large(request, prepared), prepared.split
    clips = fitted.clips(split.test)
    with tempfile.TemporaryDirectory() as scratch:
        recognizers = {recipes.LARGE: recognizer_of(fitted, bundle, Path(scratch))}
        if beside is not None:
            RunFolder(beside).check_split(split)
            recognizers[recipes.PAIR] = pair_of(recognizers[recipes.LARGE], beside)
        logits = {model: stream_clips(recognizer, clips).clips for model, recognizer in recognizers.items()}
        dev = fitted.clips(split.dev)
        shipped, recognizer = list(recognizers.items())[-1]
        worth = confidence_of(stream_clips(recognizer, dev).clips, dev, logits[shipped], clips)
    write_confidence(request.data, shipped, None, split.protocol, worth)
    for model, found in logits.items():
        probs = probabilities(found, 1.0)
        for corpus, figures in summarize_by_corpus(probs, clips.labels, clips.utterances, split.labels).items():
            trained_on = fitted.prepared.split.corpora
            write(request.data, trained_on, corpus, model, None, split.protocol, split.hash, figures)


@command
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, help="made by quantize.py --large")
    parser.add_argument("--fold", type=int, required=True, help="of leave-one-corpus-out")
    parser.add_argument("--beside", type=Path, metavar="RUN", help="run folder of train.py on the same fold")
    args = parser.parse_args(argv)
    corpora.recordings()
    bundle = Bundle.open(args.bundle)
    require(bundle.manifest.kind == WINDOW, f"{args.bundle}: no larger bundle; make one with quantize.py --large")
    request = request_of(args.fold)
    import augment.torchaudio_import  # noqa: F401 - before transformers

    evaluate(bundle, request, prepare_large(request), args.beside)
    return 0


if __name__ == "__main__":
    sys.exit(main())
