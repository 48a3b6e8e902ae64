#!/usr/bin/env bash
# A Raspberry Pi's processor without a Raspberry Pi: Debian bookworm arm64 in a folder, under QEMU's user-mode emulation
# of the Pi's own cores. Runs the doctor and streams the shipped clip under each runtime, and compares every result with
# those of this machine. It tests correctness; the times in it mean nothing.
#
#   sudo apt-get install qemu-user-static binfmt-support debootstrap
#   sudo PYTHON=.venv/bin/python benchmarks/arm64.sh [FOLDER]        # default: /tmp/arm64, outside the repository
#
# PYTHON (on this machine) needs both runtimes: pip install -e '.[device,litert]'. The first run takes about ten minutes;
# the system and the wheels are kept in FOLDER for the next one.
set -euo pipefail
cd "$(dirname "$0")/.."

FOLDER=${1:-/tmp/arm64}
PYTHON=${PYTHON:-.venv/bin/python}
TRANSCRIPT=docs/arm64-transcript.txt
SYSTEM=$FOLDER/root
OUT=$FOLDER/out
CLIP=edge/pretrained/synthetic_voice.flac
# Zero 2 and Pi 3; Pi 4; Pi 5
CORES="cortex-a53 cortex-a72 cortex-a76"
declare -A PARTS=([cortex-a53]=0xd03 [cortex-a72]=0xd08 [cortex-a76]=0xd0b)

fail() { printf 'error: %s\n' "$1" >&2; exit 2; }
say() { printf '\n== %s\n' "$1"; }

[ "$(id -u)" = 0 ] || fail "debootstrap and chroot need root"
for tool in debootstrap qemu-aarch64-static update-binfmts; do
  command -v "$tool" >/dev/null || fail "$tool is missing: apt-get install qemu-user-static binfmt-support debootstrap"
done
"$PYTHON" -c 'import onnxruntime, ai_edge_litert' || fail "$PYTHON needs both runtimes: pip install -e '.[device,litert]'"
mkdir -p "$OUT"

make_system() {
  [ -e "$SYSTEM/.done" ] && return
  say "Debian bookworm arm64 into $SYSTEM"
  mountpoint -q /proc/sys/fs/binfmt_misc || mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
  update-binfmts --enable qemu-aarch64
  debootstrap --arch=arm64 --variant=minbase --foreign --include=python3,ca-certificates bookworm "$SYSTEM"
  chroot "$SYSTEM" /debootstrap/debootstrap --second-stage
  touch "$SYSTEM/.done"
}

# NAME PACKAGE...: wheels for that system, chosen and unpacked from outside
make_environment() {
  local at=$SYSTEM/opt/env/$1
  [ -e "$at" ] && return
  say "aarch64 wheels: ${*:2}"
  local platforms=()
  for tag in manylinux_2_34 manylinux_2_28 manylinux_2_27 manylinux_2_17 manylinux2014; do
    platforms+=(--platform "${tag}_aarch64")
  done
  "$PYTHON" -m pip install --quiet --root-user-action ignore --target "$at.part" "${platforms[@]}" \
    --python-version 3.11 --only-binary=:all: "${@:2}"
  mv "$at.part" "$at"
}

# CORE: what its kernel would say in /proc/cpuinfo. QEMU shows ours, which the runtimes cannot read; then they would not
# choose the kernels that they choose on a Pi. What the core can do they learn from QEMU itself.
show_processor() {
  hide_processor
  for number in 0 1 2 3; do
    printf 'processor\t: %d\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\n' "$number"
    printf 'CPU part\t: %s\nCPU revision\t: 0\n\n' "${PARTS[$1]}"
  done >"$FOLDER/cpuinfo"
  mount --bind "$FOLDER/cpuinfo" "$SYSTEM/proc/cpuinfo"
}

hide_processor() {
  while mountpoint -q "$SYSTEM/proc/cpuinfo"; do umount "$SYSTEM/proc/cpuinfo"; done
}

mount_kernel() {
  mountpoint -q "$SYSTEM/proc" || mount -t proc proc "$SYSTEM/proc"
  mountpoint -q "$SYSTEM/sys" || mount -t sysfs -o ro sysfs "$SYSTEM/sys"
}

unmount_kernel() {
  hide_processor
  umount "$SYSTEM/proc" "$SYSTEM/sys"
}

# CORE ENVIRONMENT ARGUMENT...: Python inside, with the wheels of that environment
inside() {
  show_processor "$1"
  QEMU_CPU=$1 nice -n 10 chroot "$SYSTEM" env -i PATH=/usr/bin:/bin OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=1 \
    QEMU_CPU="$1" PYTHONPATH="$2" sh -c 'cd /opt/ser && exec python3 "$@"' python3 "${@:3}"
}

# CORE ENVIRONMENT: what it finds is part of the transcript; on a busy machine even "cannot keep up" may be true
examine() {
  inside "$1" "$2" -m edge.doctor --no-mic || echo "exit code $?"
}

trial() {
  say "what is compared"
  printf 'commit %s, %s\n' "$(git describe --always --dirty)" "$(date -I)"
  qemu-aarch64-static --version | head -n 1
  printf 'here:   %s, %s\n' "$(uname -m)" "$("$PYTHON" --version)"
  printf 'inside: %s, %s\n' "$(chroot "$SYSTEM" uname -m)" "$(chroot "$SYSTEM" python3 --version)"

  for core in $CORES; do
    for runtime in onnx tflite; do
      say "$core, $runtime: python3 -m edge.doctor --no-mic"
      examine "$core" "/opt/env/$runtime"
    done
  done

  say "onnxruntime 1.21.0 on the Pi 4's core (onnxruntime#23957): the doctor must survive it and name it"
  examine cortex-a72 /opt/env/onnxruntime-1.21.0:/opt/env/onnx

  say "every result of $CLIP against this machine's"
  rm -f "$OUT"/*.jsonl
  for bundle in int8 float32; do
    for runtime in onnx tflite; do
      arguments=(stream_infer.py "edge/pretrained/$bundle" "$CLIP" --runtime "$runtime" --json)
      OMP_NUM_THREADS=1 "$PYTHON" "${arguments[@]}" >"$OUT/here.$bundle.$runtime.jsonl" 2>>"$OUT/stderr.log"
      for core in $CORES; do
        inside "$core" "/opt/env/$runtime" "${arguments[@]}" >"$OUT/$core.$bundle.$runtime.jsonl" 2>>"$OUT/stderr.log"
      done
    done
  done
  "$PYTHON" -m benchmarks.arm64 "$OUT"
}

make_system
make_environment onnx numpy onnxruntime soundfile 'soxr<1'
make_environment tflite numpy ai-edge-litert soundfile 'soxr<1'
make_environment onnxruntime-1.21.0 --no-deps onnxruntime==1.21.0
mount_kernel
trap unmount_kernel EXIT
rm -rf "$SYSTEM/opt/ser"
mkdir -p "$SYSTEM/opt/ser"
git ls-files -z crnn edge stream_infer.py | tar --null -cf - -T - | tar -xf - -C "$SYSTEM/opt/ser"

: >"$OUT/stderr.log"
trial 2>&1 | tee "$FOLDER/transcript.txt"
mv "$FOLDER/transcript.txt" "$TRANSCRIPT"
