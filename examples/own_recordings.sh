#!/usr/bin/env bash
# From your own recordings to a model on the device. It needs the extras train and export.
#
#   examples/own_recordings.sh RECORDINGS OUT
#
# RECORDINGS holds a folder per emotion, the speaker first in each file's name: RECORDINGS/angry/anna_01.wav. OUT gets
# the run and the bundle. TRAIN_OPTIONS and QUANTIZE_OPTIONS are passed on, for example QUANTIZE_OPTIONS="--max-uar-drop 0.1".
set -euo pipefail
recordings=$1 out=$2
read -ra train <<<"${TRAIN_OPTIONS:-}"
read -ra quantize <<<"${QUANTIZE_OPTIONS:-}"
first=$(find "$recordings" -mindepth 2 -type f ! -name '.*' | LC_ALL=C sort | sed -n 1p) # not head: it ends before sort has written all
[ -n "$first" ] || { echo "error: $recordings: no recordings" >&2; exit 2; }

python train.py --config configs/own-data.yaml --data "folder:$recordings" --out "$out/run" ${train[@]+"${train[@]}"}
python quantize.py "$out/run" --out "$out/bundle" ${quantize[@]+"${quantize[@]}"}
python stream_infer.py "$out/bundle" "$first"
