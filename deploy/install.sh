#!/usr/bin/env bash
# Installs the recognizer and its service for the user who runs this, from this checkout, on Raspberry Pi OS 64-bit
# (bookworm, trixie) or any 64-bit Debian. Run it again after `git pull` to update. It prints every command it runs, and
# asks nothing: where sudo needs a password, run `sudo -v` before.
#
#   deploy/install.sh                 install or update, then start listening
#   deploy/install.sh --dry-run       only print the commands
#   deploy/install.sh --network       allow the service to use the network (for MQTT); by default it cannot
#   deploy/install.sh --no-service    do not install the service
#   deploy/install.sh --no-mic        no service, and the doctor looks for no microphone: to install before one is connected
#   deploy/install.sh --remove        remove everything except the logs and the Debian packages
#   deploy/install.sh --allow-root    for a machine without another user
#
# Exit code: 0 done, 1 installed but the doctor found problems (the service is not started), 2 not possible here.
set -euo pipefail

CHECKOUT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# A compiler: PyAudio has no wheel for Linux, so it is built here.
PACKAGES=(python3 python3-venv python3-dev gcc libc6-dev portaudio19-dev alsa-utils)
SOURCES=(setup.py pyproject.toml README.md LICENSE configs crnn augment edge train.py quantize.py stream_infer.py)
SHARE=$HOME/.local/share/ser
PYTHON=$SHARE/venv/bin/python
STATE=$HOME/.local/state/ser
UNITS=$HOME/.config/systemd/user
UNIT=ser-listen.service

dry_run=no network=no service=yes remove=no allow_root=no doctor=()

fail() {
  printf 'error: %s\n' "$1" >&2
  exit 2
}
say() { printf '\n%s\n' "$1"; }
run() {
  printf '  + %s\n' "$*"
  [ "$dry_run" = yes ] || "$@"
}
as_root() {
  if [ "$(id -u)" = 0 ]; then
    run "$@"
    return
  fi
  [ "$dry_run" = yes ] || sudo --non-interactive true 2>/dev/null ||
    fail "sudo needs a password, and this asks for nothing: run sudo -v, then this again"
  run sudo "$@"
}

for argument in "$@"; do
  case $argument in
    --dry-run) dry_run=yes ;;
    --network) network=yes ;;
    --no-service) service=no ;;
    --no-mic) service=no doctor=(--no-mic) ;;
    --remove) remove=yes ;;
    --allow-root) allow_root=yes ;;
    -h | --help)
      sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"
      exit 0
      ;;
    *) fail "unknown option $argument; see --help" ;;
  esac
done

check_machine() {
  if [ "$(id -u)" = 0 ] && [ "$allow_root" = no ]; then
    fail "run this as the user of the service, not as root; it calls sudo where needed (or: --allow-root)"
  fi
  command -v apt-get >/dev/null || fail "no apt-get: this is not Raspberry Pi OS or Debian; see docs/raspberry-pi.md"
  [ "$(getconf LONG_BIT)" = 64 ] || fail "32-bit system: ONNX Runtime has no wheel for it; use Raspberry Pi OS 64-bit"
  [ "$service" = no ] || command -v systemctl >/dev/null || fail "no systemd here; use --no-service"
}

install_packages() {
  say "Debian packages"
  local missing=()
  for package in "${PACKAGES[@]}"; do
    if [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
      missing+=("$package")
    fi
  done
  if [ ${#missing[@]} = 0 ]; then
    echo "  already installed: ${PACKAGES[*]}"
    return
  fi
  as_root apt-get update
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "${missing[@]}"
}

check_python() {
  [ "$dry_run" = yes ] || python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$(python3 --version) is too old; Raspberry Pi OS bookworm or newer has Python 3.11"
}

install_python() {
  say "Python environment in $SHARE"
  [ -x "$PYTHON" ] || run python3 -m venv "$SHARE/venv"
  # From a copy, because a build leaves files that the next build would install.
  local copy=$SHARE/source
  run rm -rf "$copy"
  run mkdir -p "$copy"
  run cp -r "${SOURCES[@]/#/$CHECKOUT/}" "$copy"
  local extras=mic,vad,rules
  [ "$network" = no ] || extras=$extras,mqtt
  run "$PYTHON" -m pip install --upgrade "${copy}[$extras]"
  run rm -rf "$copy"
}

examine() {
  say "Doctor"
  cd "$SHARE" 2>/dev/null || cd / # not the checkout, so that the installed package is examined
  run "$PYTHON" -m edge.doctor "${doctor[@]}"
}

# Lingering: the service starts with the machine, without a login. Before the long part, so that sudo is not needed after it.
allow_start_at_boot() {
  local user
  user=$(id -un)
  [ -e "/var/lib/systemd/linger/$user" ] || as_root loginctl enable-linger "$user"
}

install_service() {
  say "Service $UNIT"
  run mkdir -p -m 700 "$STATE"
  run install -D -m 644 "$CHECKOUT/deploy/$UNIT" "$UNITS/$UNIT"
  if [ "$network" = yes ]; then
    run install -D -m 644 "$CHECKOUT/deploy/network.conf" "$UNITS/$UNIT.d/network.conf"
  else
    run rm -f "$UNITS/$UNIT.d/network.conf"
  fi
  run systemctl --user daemon-reload
}

start_service() {
  run systemctl --user enable "$UNIT"
  run systemctl --user restart "$UNIT"
  say "Listening. Follow it with: journalctl --user --unit $UNIT --follow"
}

remove_all() {
  say "Removing"
  # Also with --no-service and --no-mic: a service that stayed would be started again and again without its program.
  if [ -e "$UNITS/$UNIT" ] || [ -e "$UNITS/$UNIT.d" ]; then
    [ ! -e "$UNITS/$UNIT" ] || run systemctl --user disable --now "$UNIT"
    run rm -rf "$UNITS/$UNIT" "$UNITS/$UNIT.d"
    run systemctl --user daemon-reload
  fi
  run rm -rf "$SHARE"
  say "Not removed: $STATE (logs), ~/.config/ser (your options), the Debian packages, and the user's lingering
(sudo loginctl disable-linger $(id -un))"
}

check_machine
if [ "$remove" = yes ]; then
  remove_all
  exit 0
fi
install_packages
check_python
[ "$service" = no ] || allow_start_at_boot
install_python
[ "$service" = no ] || install_service
if ! examine; then
  echo "Fix the problems above, then run this again; the service was not started." >&2
  exit 1
fi
[ "$service" = no ] || start_service
