"""The installed commands. Each handles Ctrl-C before it imports anything slow."""

from importlib import import_module

from crnn.cli.interrupt import starting


def train() -> int:
    return _run("train")


def quantize() -> int:
    return _run("quantize")


def stream() -> int:
    return _run("stream_infer")


def doctor() -> int:
    return _run("edge.doctor.__main__")


def enroll() -> int:
    return _run("edge.enroll.__main__")


def page() -> int:
    return _run("edge.page.__main__")


def serve() -> int:
    return _run("edge.serve.__main__")


def _run(module: str) -> int:
    starting()
    return import_module(module).main()
