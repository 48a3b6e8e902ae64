# Two commands on a fresh machine: `make demo` and `make test`. Both install what they need into .venv first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Further extras, for example: make test EXTRAS=tflite,mic
EXTRAS ?=
comma := ,
ALL := train,export,dev$(if $(EXTRAS),$(comma)$(EXTRAS))
# What installs; CI takes one that is faster
INSTALL ?= $(BIN)/python -m pip install -q
# More for pytest, for example: make test OPTIONS=--cov
OPTIONS ?=
# One stamp, and one call of pip, for each set of extras
DEV := $(VENV)/.dev$(subst $(comma),-,$(if $(EXTRAS),$(comma)$(EXTRAS)))

.PHONY: demo demo-train test lint install docs clean

demo: $(VENV)/.device
	$(BIN)/python stream_infer.py edge/pretrained/synthetic_voice.flac
	@echo "A SYNTHETIC voice: it shows the shipped model at work, not how accurate it is. Try your own recording:"
	@echo "    $(BIN)/python stream_infer.py recording.wav"

demo-train: $(VENV)/.train
	rm -rf demo
	$(BIN)/python -m crnn.synthetic demo/voices
	$(BIN)/python train.py --config configs/demo.yaml --data synthetic:demo/voices --out demo/run --cache demo/cache
	$(BIN)/python quantize.py demo/run --out demo/bundle --cache demo/cache
	$(BIN)/python stream_infer.py demo/bundle demo/voices/Actor_02/03-01-05-01-01-02-02.wav
	@echo "SYNTHETIC voices: this shows that the machinery works, nothing about emotion. Look at demo/run/report.html"

test: $(DEV)
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(OPTIONS)

install: $(DEV)

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/bin/python setup.py pyproject.toml
	$(INSTALL) -e '.[docs]'
	$(BIN)/python -m mkdocs build --strict
	@echo "build/site/index.html"

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.device: $(VENV)/bin/python setup.py pyproject.toml
	$(INSTALL) -e .
	touch $@

$(VENV)/.train: $(VENV)/bin/python setup.py pyproject.toml
	$(INSTALL) -e '.[train,export]'
	touch $@

$(DEV): $(VENV)/bin/python setup.py pyproject.toml
	$(INSTALL) -e '.[$(ALL)]'
	touch $@

clean:
	rm -rf $(VENV) demo build *.egg-info
