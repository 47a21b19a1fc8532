"""The simulated AWS with machines that run already: `python -m benchmarks.crowd PORT FOLDER MACHINES INSTALLATION`.

Ten thousand launches over HTTP take many minutes; here they are put into its world before anybody asks. Writes
FOLDER/crowd.json with their ids. Everything after that goes over the wire.
"""

import json
import os
import sys
import threading
import time
import traceback
from itertools import cycle
from pathlib import Path


def main() -> None:
    port, folder, machines, installation = int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"  # before moto is imported, as the simulator does
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    from cloud.sim.rules import Rules
    from cloud.sim.server import Simulator

    rules = Rules(boot_seconds=0, stop_seconds=0, vcpu_quota=10**9)
    simulator = Simulator(folder, region="us-east-1", rules=rules, with_room=False)
    filling = threading.Thread(target=_fill_or_end, args=(simulator, folder, machines, installation), daemon=True)
    filling.start()
    simulator.run("127.0.0.1", port)


def _fill_or_end(*args) -> None:
    """Whoever waits for the machines must not wait for ever."""
    try:
        _fill(*args)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def _fill(simulator, folder: Path, machines: int, installation: str) -> None:
    from cloud.sim.world import LaunchRequest

    while not (folder / "network.json").exists():  # written when the simulator is up
        time.sleep(0.05)
    home = simulator.accounts.home
    network = home.network
    subnets = cycle(sorted(network.subnets.items()))
    ids = []
    for number in range(machines):
        zone, subnet = next(subnets)
        token = f"{installation}-{number}"
        launch = {
            "image_id": network.image_id,
            "count": 1,
            "user_data": "",
            "security_group_names": [],
            "security_group_ids": [network.security_group],
            "instance_type": "g4dn.xlarge",
            "is_instance_type_default": False,
            "region_name": "us-east-1",
            "subnet_id": subnet,
            "tags": {"instance": {"Name": token, "lamplighter:installation": installation}},
            "block_device_mappings": [],
            "instance_initiated_shutdown_behavior": "stop",
            "metadata_options": {},
            "client_token": token,
        }
        request = LaunchRequest(token, token, zone, "g4dn.xlarge", "stop", launch)
        ids.append(home.world.launch(request).cloud_id)
    (folder / "crowd.draft").write_text(json.dumps(ids))
    (folder / "crowd.draft").replace(folder / "crowd.json")


if __name__ == "__main__":
    main()
