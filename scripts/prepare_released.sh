#!/bin/sh
# Prepares what train_released.sh trains on: fer2013-48, fer2013-64 and mixed-128, without copies of training faces in
# validation; the last two without faces behind hands.
#
#   scripts/prepare_released.sh FER2013 FACES_WILD DATA [OPTIONS]
#
# FER2013 and FACES_WILD lie as `mien prepare fer2013` and `mien prepare folder` read them. OPTIONS (--workers, --device,
# --engine, --detector, --threshold) go to each `mien prepare`. The same command goes on where it was stopped, and leaves
# what is done; DATA/sources, which the sets are combined from, is then no longer needed.
set -eu
if [ $# -lt 3 ]; then
    sed -n '5s/^# */usage: /p' "$0" >&2
    exit 2
fi
fer2013=$1 faces_wild=$2 data=$3
shift 3
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}" # where mien is not installed
mien() { "${PYTHON:-python3}" -m mien.apps.cli "$@"; }
missing() {
    [ ! -f "$data/$1/manifest.json" ] && return
    echo "$data/$1 is done, and left as it is" >&2
    return 1
}

from=$data/sources
mkdir -p "$data"
if missing fer2013-48; then
    mien prepare fer2013 "$fer2013" --out "$from/fer2013-48" --size 48 --detector mtcnn "$@"
    mien combine "$from/fer2013-48" --without-leaks --out "$data/fer2013-48"
fi
if missing fer2013-64; then
    mien prepare fer2013 "$fer2013" --out "$from/fer2013-64" --size 64 --detector mtcnn --option labels=both "$@"
    mien combine "$from/fer2013-64" --without-leaks --leave-out fer2013-covered --out "$data/fer2013-64"
fi
if missing mixed-128; then
    mien prepare fer2013 "$fer2013" --out "$from/fer2013-128" --size 128 --detector mtcnn --option labels=both "$@"
    mien prepare folder "$faces_wild" --out "$from/faces-wild-128" --size 128 --detector mtcnn "$@"
    mien combine "$from/fer2013-128" "$from/faces-wild-128" --without-leaks --leave-out fer2013-covered --out "$data/mixed-128"
fi
