"""`python -m cloud.sim`: a simulated AWS on this computer, for the demo and the tests. Never part of production."""

import argparse
import ipaddress
import logging
import os
from pathlib import Path


def _loopback(host: str) -> str:
    """No signature is checked here: whoever can reach it may do anything."""
    if not ipaddress.ip_address(host).is_loopback:
        raise argparse.ArgumentTypeError(f"the simulated AWS serves loopback addresses only, not {host}")
    return host


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m cloud.sim", description=__doc__)
    parser.add_argument("--host", type=_loopback, default="127.0.0.1", help="a loopback address")
    parser.add_argument("--port", type=int, required=True, help="0: any free one")
    parser.add_argument("--folder", type=Path, required=True, help="keeps machines, disks and network.json")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--no-room", action="store_true", help="machines are only rows: nothing runs on them")
    parser.add_argument("--boot-seconds", type=float, default=3.0, help="pending to running")
    parser.add_argument("--stop-seconds", type=float, default=2.0, help="stopping to stopped")
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # Before moto is imported: its 1,300 images are of no use here and take a second to load.
    os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"
    os.environ.setdefault("AWS_DEFAULT_REGION", arguments.region)
    from cloud.sim.rules import Rules
    from cloud.sim.server import Simulator

    rules = Rules(boot_seconds=arguments.boot_seconds, stop_seconds=arguments.stop_seconds)
    simulator = Simulator(
        arguments.folder.resolve(), region=arguments.region, rules=rules, with_room=not arguments.no_room
    )
    simulator.run(arguments.host, arguments.port)


main()
