#!/bin/sh
# Dials out to the portal and offers it this machine's notebook and SSH server, where no network leads in. Ends with the connection;
# whoever started it starts it again.
set -eu
ROOT="${LAMPLIGHTER_ROOT:-}"
DIAL="$ROOT/etc/lamplighter/tunnel"
# shellcheck source=/dev/null
. "$DIAL/where"
exec ssh -N -T -F /dev/null -i "$DIAL/key" -p "$TUNNEL_PORT" -o BatchMode=yes -o IdentitiesOnly=yes \
    -o IdentityAgent=none -o HostKeyAlias=lamplighter-tunnel -o StrictHostKeyChecking=yes \
    -o UserKnownHostsFile="\"$DIAL/known_hosts\"" -o GlobalKnownHostsFile=/dev/null -o UpdateHostKeys=no \
    -o ExitOnForwardFailure=yes -o ConnectTimeout=10 -o ServerAliveInterval=10 -o ServerAliveCountMax=3 \
    -o LogLevel=ERROR -R "8888:${LAMPLIGHTER_BIND:-127.0.0.1}:8888" \
    -R "22:${LAMPLIGHTER_BIND:-127.0.0.1}:22" "$TUNNEL_SLUG@$TUNNEL_HOST"
