"""The simulated account's network and image, with ids that are the same after every restart.

Addresses are of the loopback network, so that a machine's private address really answers on this computer.
"""

import hashlib
import ipaddress
import json
import zlib
from pathlib import Path
from typing import Any

from cloud.sim.base_server import ACCOUNT, backend, ids_ending
from cloud.sim.files import BUCKET

_ZONE_LETTERS = "abcd"
_ZONE_ADDRESSES = 4096
_FIRST_ADDRESS = 10  # AWS keeps the first ones of each subnet for itself


def block_of(folder: Path) -> ipaddress.IPv4Network:
    """127.60 to 127.249, by where the state is kept: the same after every restart, and not another demo's, whose
    machines would answer in place of ours."""
    return ipaddress.IPv4Network(f"127.{60 + zlib.crc32(str(folder.resolve()).encode()) % 190}.0.0/16")


class Network:
    def __init__(self, region: str, folder: Path, account: str = ACCOUNT) -> None:
        base, block = backend(region, account), block_of(folder)
        self.account = account
        with ids_ending(self._ending("0f0c0f0c0f0c0f0c0")):
            vpc = base.create_vpc(str(block))
        with ids_ending(self._ending("0f0c0f0c0f0c0f0c1")):
            group = base.create_security_group("lamplighter-machines", "Only the gateway comes in", vpc_id=vpc.id)
        with ids_ending("0f0c0f0c0f0c0f0c2"):  # a public one, known in every account
            image = base.register_image(name="lamplighter-course", description="The course's machine image")
        zones = [f"{region}{letter}" for letter in _ZONE_LETTERS]
        self.blocks: dict[str, ipaddress.IPv4Network] = dict(zip(zones, block.subnets(new_prefix=20), strict=False))
        self.subnets = {zone: self._subnet(base, vpc.id, zone) for zone in self.blocks}
        self.zone_of = {subnet: zone for zone, subnet in self.subnets.items()}
        self.security_group = group.id
        self.image_id = image.id

    def _subnet(self, base: Any, vpc_id: str, zone: str) -> str:
        with ids_ending(self._ending(f"0f0c0f0c0f0c0f0{zone[-1]}0")):
            return str(base.create_subnet(vpc_id, str(self.blocks[zone]), availability_zone=zone).id)

    def _ending(self, known: str) -> str:
        """No id of one account is an id of another."""
        return known if self.account == ACCOUNT else hashlib.sha256(f"{self.account}{known}".encode()).hexdigest()[:17]

    def next_ip(self, zone: str, launched_before: int) -> str:
        """Each machine its own, handed out in turn, so that a link to an ended machine reaches no other one."""
        return str(self.blocks[zone][_FIRST_ADDRESS + launched_before % (_ZONE_ADDRESSES - 2 * _FIRST_ADDRESS)])

    def told(self) -> dict[str, Any]:
        return {
            "subnets": self.subnets,
            "security_group": self.security_group,
            "image_id": self.image_id,
            "scheduler_role_arn": f"arn:aws:iam::{self.account}:role/lamplighter-scheduler",
            "bucket": BUCKET,
        }

    def write(self, folder: Path) -> None:
        """Complete or not at all: the launcher waits for this file."""
        draft = folder / "network.json.draft"
        draft.write_text(json.dumps(self.told(), indent=1))
        draft.replace(folder / "network.json")
