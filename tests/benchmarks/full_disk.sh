#!/usr/bin/env bash
# A run on a disk of 2 MiB: exit 6 with path and free space, then room is made, and `resume` makes the rest.
#     tests/benchmarks/full_disk.sh [PYTHON]        needs the right to mount a tmpfs: root, or user namespaces
set -euo pipefail
if [ "${1:-}" != inside ]; then
  python=$(command -v "${1:-python}")
  exec unshare --mount --map-root-user bash "$0" inside "$python"
fi
python=$2
folder=$(mktemp -d)
trap 'umount "$folder/disk"; rm -rf "$folder"' EXIT
export PYTHONPATH=$PWD
cd "$folder"
mkdir disk
mount -t tmpfs -o size=2m tmpfs disk
touch animerun.toml
printf 'animerun: 1\nepisode: full\nscenes: {s: {prompt: a lighthouse, takes: 40}}\n' > full.yaml
code=0
"$python" -m runner full.yaml --runs disk/runs -q 2> told || code=$?
cat told
[ "$code" = 6 ] || { echo "exit code $code, expected 6"; exit 1; }
grep -q "No space left on device (.* bytes free" told || { echo "the free space is not told"; exit 1; }
[ -z "$(find disk -name '*.part')" ] || { echo "a part file is left"; exit 1; }
mount -o remount,size=64m disk
"$python" -m runner resume --runs disk/runs -q
"$python" -m runner verify --runs disk/runs
[ "$(find disk -name '*.png' | wc -l)" = 40 ] || { echo "not 40 files"; exit 1; }
