#!/bin/sh
# Step 4, the last: nothing that the building machine was told, or grew, wakes up on a student's machine. Not by
# `cloud-init clean`, which takes scripts/per-boot away as well.
set -eu
ROOT="${LAMPLIGHTER_ROOT:-}"

rm -rf "$ROOT/etc/lamplighter" "$ROOT/tmp/lamplighter" "$ROOT/root/.cache" "$ROOT"/home/*/.cache
rm -f "$ROOT"/etc/ssh/ssh_host_* "$ROOT/root/.bash_history" "$ROOT"/home/*/.bash_history
find "$ROOT/var/lib/cloud" -mindepth 1 -maxdepth 1 ! -name scripts ! -name seed -exec rm -rf {} +
find "$ROOT/var/log" -type f -delete
if [ -e "$ROOT/etc/machine-id" ]; then : >"$ROOT/etc/machine-id"; fi # systemd makes a new one
