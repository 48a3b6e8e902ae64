#!/usr/bin/env bash
# The transcript of an installation: an empty Debian bookworm arm64 under QEMU's user-mode emulation, deploy/install.sh
# without a question, the doctor, and the first event of the clip that ships. The times in it are the emulator's.
#
#   sudo apt-get install qemu-user-static debootstrap
#   sudo benchmarks/device/arm64_install.sh [FOLDER]      # default: /tmp/ser-arm64-install, outside the repository
#
# FOLDER/empty is made once, FOLDER/system from it each time. Programs of the other architecture are registered in a user
# namespace of our own (Linux 6.7), so nothing is registered on this machine, and nothing stays mounted.
# shellcheck disable=SC2016 # what is in single quotes is expanded in that system
set -euo pipefail

SCRIPT=$(readlink -f "$0")
cd "$(dirname "$SCRIPT")/../.."
TRANSCRIPT=docs/arm64-install-transcript.txt
# What apt and pip say of each package, and onnxruntime of a /sys that is not there; FOLDER/transcript.txt has it.
NOISE='^(Get:|Selecting |Preparing |Unpacking |Setting up |\(Reading|update-alternatives|  [a-z]+[0-9a-z.+-]* |Error in cpuinfo|onnxruntime .*cpuinfo)|^ +(Downloading|━)'
# ELF, 64-bit, little-endian, aarch64
MAGIC='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
MASK='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'

fail() { printf 'error: %s\n' "$1" >&2; exit 2; }
say() { printf '\n== %s\n' "$1"; }

# SYSTEM COMMAND...: run it in that system, as root there
inside() {
  local system=$1 waiting
  shift
  waiting=$(mktemp -u)
  mkfifo "$waiting"
  unshare --user --mount --pid --fork --kill-child "$SCRIPT" --enter "$waiting" "$system" "$@" &
  local namespace=$!
  until [ "$(readlink "/proc/$namespace/ns/user")" != "$(readlink /proc/self/ns/user)" ]; do sleep 0.1; done
  echo "0 0 65536" >"/proc/$namespace/uid_map"
  echo "0 0 65536" >"/proc/$namespace/gid_map"
  echo >"$waiting"
  rm "$waiting"
  wait "$namespace"
}

# WAITING SYSTEM COMMAND...: the other half of `inside`, in the namespace
enter() {
  local waiting=$1 system=$2
  shift 2
  read -r _ <"$waiting"
  mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
  printf ':arm64:M::%s:%s:%s:F' "$MAGIC" "$MASK" "$(command -v qemu-aarch64-static)" >/proc/sys/fs/binfmt_misc/register
  mount -t proc proc "$system/proc"
  # container: debootstrap then makes no device nodes. Where the network is decrypted, pip needs this machine's certificates.
  exec chroot "$system" /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    HOME=/root LC_ALL=C.UTF-8 QEMU_CPU=cortex-a72 container=lxc ${PIP_CERT:+PIP_CERT=/root/certificates.crt} "$@"
}

make_empty() {
  [ -e "$FOLDER/empty" ] && return
  rm -rf "$FOLDER/empty.part"
  debootstrap --arch=arm64 --variant=minbase --foreign bookworm "$FOLDER/empty.part" http://deb.debian.org/debian \
    >"$FOLDER/debootstrap.log"
  inside "$FOLDER/empty.part" /debootstrap/debootstrap --second-stage >>"$FOLDER/debootstrap.log"
  mv "$FOLDER/empty.part" "$FOLDER/empty"
}

# COMMAND...: run it in the system, and say how long it took
timed() {
  local began code=0
  began=$(date +%s)
  printf '# %s\n' "${*: -1}"
  inside "$FOLDER/system" /bin/bash -c "${*: -1}" </dev/null || code=$?
  printf '[exit code %s after %s s]\n' "$code" "$(($(date +%s) - began))"
  [ "$code" = 0 ]
}

trial() {
  say "what is tried"
  printf 'commit %s, %s\n' "$(git describe --always --dirty)" "$(date -I)"
  qemu-aarch64-static --version | head -n 1
  timed 'uname -m; . /etc/os-release; echo "$PRETTY_NAME"; dpkg-query --list | grep -c ^ii; command -v python3 gcc sudo || true'

  say "one command, standard input closed"
  timed 'cd /root/ser && deploy/install.sh --allow-root --no-mic'

  say "the doctor once more, from the installed command"
  timed '$HOME/.local/share/ser/venv/bin/ser-doctor --no-mic'

  say "the first event"
  timed 'cd /root && $HOME/.local/share/ser/venv/bin/ser-stream ser/edge/pretrained/synthetic_voice.flac --json | head -n 1'

  say "the whole clip"
  timed 'cd /root && $HOME/.local/share/ser/venv/bin/ser-stream ser/edge/pretrained/synthetic_voice.flac'

  say "the same command again: an update"
  timed 'cd /root/ser && deploy/install.sh --allow-root --no-mic >/dev/null'
}

if [ "${1:-}" = --enter ]; then
  shift
  enter "$@"
fi
[ "$(id -u)" = 0 ] || fail "debootstrap needs root"
FOLDER=$(mkdir -p "${1:-/tmp/ser-arm64-install}" && cd "${1:-/tmp/ser-arm64-install}" && pwd)
# Programs in it are run as root, and FOLDER/system is deleted: it must be ours.
[ -O "$FOLDER" ] || fail "$FOLDER: belongs to another user; give another folder"
[ -e "$FOLDER/debootstrap.log" ] || [ -z "$(ls -A "$FOLDER")" ] ||
  fail "$FOLDER: holds other files; give a new or empty folder"
for tool in debootstrap qemu-aarch64-static unshare; do
  command -v "$tool" >/dev/null || fail "$tool is missing: apt-get install qemu-user-static debootstrap"
done
make_empty
rm -rf "$FOLDER/system"
cp -a "$FOLDER/empty" "$FOLDER/system"
cp /etc/resolv.conf "$FOLDER/system/etc/resolv.conf"
mkdir "$FOLDER/system/root/ser"
git archive HEAD | tar -x -C "$FOLDER/system/root/ser"
[ -z "${PIP_CERT:-}" ] || cp "$PIP_CERT" "$FOLDER/system/root/certificates.crt"
trial 2>&1 | tee "$FOLDER/transcript.txt"
grep -Ev "$NOISE" "$FOLDER/transcript.txt" >"$TRANSCRIPT"
