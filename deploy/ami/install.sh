#!/bin/sh
# Step 1: lays out the machine's own parts below LAMPLIGHTER_ROOT (empty: on this machine). Needs no network and no
# package; saying it twice changes nothing. Each disk of `make run` begins with what this very script lays out.
set -eu
ROOT="${LAMPLIGHTER_ROOT:-}"
INSTANCES="$(cd "$(dirname "$0")/../../instances" && pwd)"

while read -r name source; do
    install -D -m 644 "$INSTANCES/$source" "$ROOT/opt/lamplighter/$name"
done <"$INSTANCES/agent/parts"
install -D -m 755 "$INSTANCES/agent/boot.sh" "$ROOT/var/lib/cloud/scripts/per-boot/lamplighter"
# The agent, its dead-man's timer and the notebook as units: written, not lit.
LAMPLIGHTER_ROOT="$ROOT" sh "$INSTANCES/agent/boot.sh" units
