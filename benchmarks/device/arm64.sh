#!/usr/bin/env bash
# The transcript of the Pi's cores: the doctor under each runtime on each core, and every result of the clip that ships
# on every processor that can be shown here, beside this machine's. It tests correctness; the times in it mean nothing.
#
#   sudo PYTHON=.venv/bin/python benchmarks/device/arm64.sh [FOLDER]      # default: /tmp/ser-arm64, outside the repository
#
# PYTHON (on this machine) needs both runtimes: pip install -e '.[device,litert]'. See benchmarks/device/arm64_system.sh.
set -euo pipefail
cd "$(dirname "$0")/../.."

FOLDER=${1:-/tmp/ser-arm64}
PYTHON=${PYTHON:-.venv/bin/python}
TRANSCRIPT=docs/arm64-transcript.txt

say() { printf '\n== %s\n' "$1"; }

# COMMAND: what it finds is part of the transcript; on a busy machine even "cannot keep up" may be true
examine() {
  "$FOLDER/$1" -m edge.doctor --no-mic | sed "s|$PWD/||" || echo "exit code $?"
}

trial() {
  say "what is compared"
  printf 'commit %s, %s\n' "$(git describe --always --dirty)" "$(date -I)"
  qemu-aarch64-static --version | head -n 1
  printf 'here:   %s, %s\n' "$(uname -m)" "$("$PYTHON" --version)"
  printf 'inside: %s\n' "$("$FOLDER/cortex-a72.onnx" -c 'import platform, sys; print(platform.machine(), sys.version.split()[0])')"

  for core in cortex-a53 cortex-a72 cortex-a76; do
    for runtime in onnx tflite; do
      say "$core, $runtime: python3 -m edge.doctor --no-mic"
      examine "$core.$runtime"
    done
  done

  say "onnxruntime 1.21.0 on the Pi 4's core (onnxruntime#23957): the doctor must survive it and name it"
  examine cortex-a72.onnxruntime-1.21.0

  say "every result of edge/pretrained/synthetic_voice.flac against this machine's"
  "$PYTHON" -m benchmarks.device.processors --arm64 "$FOLDER"
}

PYTHON=$PYTHON benchmarks/device/arm64_system.sh "$FOLDER"
trial 2>&1 | tee "$FOLDER/transcript.txt"
mv "$FOLDER/transcript.txt" "$TRANSCRIPT"
