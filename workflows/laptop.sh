#!/usr/bin/env bash
# The whole job on one computer: workflows/laptop.sh PHOTOS STORE [options of facecluster run]
#
# Half of the cores work, at low priority, so that the computer stays usable; WORKERS=N takes N. Each worker process needs about 1 GB of
# memory. Stop it with Ctrl-C whenever you like: the same line goes on.
set -euo pipefail
if [ $# -lt 2 ]; then
  echo "expected the photos and a folder for the results: $0 ~/Pictures ~/people" >&2
  exit 2
fi
photos=$1 store=$2
shift 2
cores=$(getconf _NPROCESSORS_ONLN)
workers=${WORKERS:-$(((cores + 1) / 2))}
nice -n 10 facecluster run "$photos" -o "$store" --workers "$workers" "$@"
facecluster questions "$store" --top 10
echo "name them:         facecluster review '$store'"
echo "then once more:    $0 '$photos' '$store'"
echo "write the names:   facecluster export '$store' --format xmp --out sidecars"
