#!/usr/bin/env bash
# The Pi's cores without a Pi: a Debian bookworm arm64 system and aarch64 wheels in a folder, and a Python per core and
# runtime under QEMU's user-mode emulation. Nothing is installed into this machine, mounted or registered.
#
#   sudo apt-get install qemu-user-static debootstrap
#   sudo PYTHON=.venv/bin/python benchmarks/device/arm64_system.sh FOLDER     # a minute; what is there already stays
#
# Makes FOLDER/CORE for the cores cortex-a53 (Zero 2, Pi 3), cortex-a72 (Pi 4) and cortex-a76 (Pi 5), with both runtimes;
# FOLDER/CORE.RUNTIME with onnx or tflite alone; and FOLDER/cortex-a72.onnxruntime-1.21.0. Each is used like python3.
set -euo pipefail

FOLDER=$(mkdir -p "${1:?usage: arm64_system.sh FOLDER}" && cd "$1" && pwd)
PYTHON=${PYTHON:-python3}
CORES="cortex-a53 cortex-a72 cortex-a76"
declare -A PARTS=([cortex-a53]=0xd03 [cortex-a72]=0xd08 [cortex-a76]=0xd0b)
declare -A FEATURES=(
  [cortex-a53]="fp asimd evtstrm crc32 cpuid"
  [cortex-a72]="fp asimd evtstrm crc32 cpuid"
  [cortex-a76]="fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"
)

fail() { printf 'error: %s\n' "$1" >&2; exit 2; }

for tool in debootstrap qemu-aarch64-static dpkg; do
  command -v "$tool" >/dev/null || fail "$tool is missing: apt-get install qemu-user-static debootstrap"
done

# Unpacked, not configured: no program of it has to run for that, which saves five minutes of emulation.
make_system() {
  [ -e "$FOLDER/root/.done" ] && return
  [ "$(id -u)" = 0 ] || fail "debootstrap needs root"
  rm -rf "$FOLDER/root"
  debootstrap --arch=arm64 --variant=minbase --foreign --include=python3 bookworm "$FOLDER/root" >"$FOLDER/debootstrap.log"
  for package in "$FOLDER"/root/var/cache/apt/archives/*.deb; do dpkg -x "$package" "$FOLDER/root"; done
  rm -rf "$FOLDER"/root/var/cache/apt/archives "$FOLDER"/root/proc
  touch "$FOLDER/root/.done"
}

# NAME PACKAGE...: wheels for that system, chosen and unpacked from outside
make_wheels() {
  local at=$FOLDER/wheels/$1 platforms=()
  [ -e "$at" ] && return
  for tag in manylinux_2_34 manylinux_2_28 manylinux_2_27 manylinux_2_17 manylinux2014; do
    platforms+=(--platform "${tag}_aarch64")
  done
  rm -rf "$at.part"
  "$PYTHON" -m pip install --quiet --root-user-action ignore --target "$at.part" "${platforms[@]}" \
    --python-version 3.11 --only-binary=:all: "${@:2}"
  mv "$at.part" "$at"
}

# CORE: the system as this core's kernel would show it. The runtimes choose their kernels by /proc/cpuinfo as well.
make_core() {
  local at=$FOLDER/cores/$1
  mkdir -p "$at/proc"
  for room in "$FOLDER"/root/*; do ln -sfn "$room" "$at/$(basename "$room")"; done
  for number in 0 1 2 3; do
    printf 'processor\t: %d\nFeatures\t: %s\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\n' \
      "$number" "${FEATURES[$1]}"
    printf 'CPU part\t: %s\nCPU revision\t: 0\n\n' "${PARTS[$1]}"
  done >"$at/proc/cpuinfo"
}

# CORE COMMAND WHEELS...: a command that is Python on that core
make_python() {
  local command=$FOLDER/$2 path=
  for wheels in "${@:3}"; do path=$path${path:+:}$FOLDER/wheels/$wheels; done
  cat >"$command" <<END
#!/bin/sh
export OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$path:\$PYTHONPATH"
exec qemu-aarch64-static -cpu $1 -L "$FOLDER/cores/$1" -0 "$command" "$FOLDER/root/usr/bin/python3.11" "\$@"
END
  chmod +x "$command"
}

# Side by side: all of them wait for the network.
make_wheels onnx numpy onnxruntime soundfile 'soxr<1' &
make_wheels tflite numpy ai-edge-litert soundfile 'soxr<1' &
make_wheels onnxruntime-1.21.0 --no-deps onnxruntime==1.21.0 &
wheels=$(jobs -p)
make_system
for job in $wheels; do wait "$job"; done
for core in $CORES; do
  make_core "$core"
  make_python "$core" "$core" onnx tflite
  make_python "$core" "$core.onnx" onnx
  make_python "$core" "$core.tflite" tflite
done
make_python cortex-a72 cortex-a72.onnxruntime-1.21.0 onnxruntime-1.21.0 onnx
