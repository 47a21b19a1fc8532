#!/bin/sh
# Lights the machine at every boot: cloud-init runs it from scripts/per-boot. Saying it twice is safe.
# With systemd it installs three units; from the second boot on they start by themselves, before the network.
# `boot.sh units` only writes them: an image lies dark until a machine is told at its first boot who it is.
set -eu
ROOT="${LAMPLIGHTER_ROOT:-}"
HOUSE="$ROOT/opt/lamplighter"
UNITS="$ROOT/etc/systemd/system"
OWNER=ubuntu
id "$OWNER" >/dev/null 2>&1 || OWNER="$(id -un)"

unit() { # name, what follows [Service]
    printf '%s\n' "[Unit]" "Description=Lamplighter: $1" "StartLimitIntervalSec=0" \
        "[Service]" "Restart=always" "RestartSec=2" "$2" \
        "[Install]" "WantedBy=multi-user.target" >"$UNITS/lamplighter-$1.service"
}

write_units() {
    mkdir -p "$UNITS"
    unit deadman "ExecStart=/usr/bin/python3 /opt/lamplighter/deadman.py
OOMScoreAdjust=-1000"
    unit agent "ExecStart=/usr/bin/python3 /opt/lamplighter/lamplighter_agent.py
Environment=LAMPLIGHTER_OWNER=$OWNER
OOMScoreAdjust=-900"
    unit notebook "ExecStart=/bin/sh /opt/lamplighter/notebook.sh
User=$OWNER
EnvironmentFile=/etc/lamplighter/notebook.env"
    unit tunnel "ExecStart=/bin/sh /opt/lamplighter/tunnel.sh"
}

DIAL="$ROOT/etc/lamplighter/tunnel"
forget_strange_tunnel() { # a disk that came from another machine may hold that one's way out
    # shellcheck source=/dev/null
    if [ -e "$DIAL/where" ] && ! (. "$DIAL/where" && grep -qF "\"$TUNNEL_SLUG\"" "$ROOT/etc/lamplighter/machine.json"); then
        rm -rf "$DIAL"
    fi
}

with_systemd() {
    write_units
    systemctl daemon-reload
    systemctl enable --now lamplighter-deadman lamplighter-agent lamplighter-notebook
    # A disk that came from another machine: what started by itself before us still believes to be that one.
    about="$ROOT/etc/lamplighter/machine.json" lit="$ROOT/etc/lamplighter/lit.json"
    if [ -e "$lit" ] && ! cmp -s "$about" "$lit"; then
        systemctl restart lamplighter-deadman lamplighter-agent lamplighter-notebook
    fi
    cp -p "$about" "$lit"
    # Never enabled: whose disk this was is known only here.
    if [ -e "$DIAL/key" ]; then systemctl start lamplighter-tunnel; fi
    # Nor does anybody here need what that one was told at its birth: its secrets.
    mine="$(readlink -f "$ROOT/var/lib/cloud/instance")"
    [ -d "$mine" ] || return 0
    for old in "$ROOT"/var/lib/cloud/instances/*; do [ "$old" = "$mine" ] || rm -rf "$old"; done
}

# What a shell starts in the background ignores Ctrl-C, and so would every terminal of the notebook.
HEAR='import os, signal, sys
for number in (signal.SIGINT, signal.SIGQUIT): signal.signal(number, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])'

keep_running() { # name, command: started again when it ends, as systemd does
    name="$1"
    shift
    (while :; do python3 -c "$HEAR" "$@" || :; sleep 1; done) >>"$ROOT/var/log/lamplighter-$name.log" 2>&1 </dev/null &
}

without_systemd() {
    [ ! -e "$ROOT/run/lamplighter/lit" ] || return 0
    # shellcheck disable=SC2174 # /run is there
    mkdir -p -m 700 "$ROOT/run/lamplighter"
    : >"$ROOT/run/lamplighter/lit"
    keep_running deadman python3 "$HOUSE/deadman.py"
    keep_running agent python3 "$HOUSE/lamplighter_agent.py"
    keep_running notebook /bin/sh "$HOUSE/notebook.sh"
    if [ -e "$DIAL/key" ]; then keep_running tunnel /bin/sh "$HOUSE/tunnel.sh"; fi
}

if [ "${1:-}" = units ]; then
    write_units
elif [ ! -e "$ROOT/etc/lamplighter/machine.json" ]; then
    echo "lamplighter: the portal did not launch this machine, nothing is lit"
else
    forget_strange_tunnel
    if [ -d "$ROOT/run/systemd/system" ]; then with_systemd; else without_systemd; fi
fi
