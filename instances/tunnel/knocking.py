"""Who has come and not yet said who they are. When too many stand there, whoever has stood longest makes room.

A limit alone would be the attacker's: three addresses that say nothing would keep everybody else out. So the place is
taken from the network that has most of them, and somebody who says who they are is through before their turn comes.
"""

import ipaddress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from instances.tunnel.door import Door

HALF_OPEN = 100  # each costs memory and a handshake
HALF_OPEN_EACH = 40  # of one network; many machines may lie behind one address


class Knocking:
    def __init__(self) -> None:
        self._doors: dict[str, list[Door]] = {}  # by network; in each the oldest first

    def came(self, door: "Door") -> None:
        mine = self._doors.setdefault(network(door.peer), [])
        mine.append(door)
        if len(mine) > HALF_OPEN_EACH:
            self._send_away(mine[0])
        elif sum(map(len, self._doors.values())) > HALF_OPEN:
            self._send_away(max(self._doors.values(), key=len)[0])

    def _send_away(self, door: "Door") -> None:
        self.gone(door)
        door.send_away()

    def gone(self, door: "Door") -> None:
        """It has said who it is, or went; said twice, nothing happens."""
        where = network(door.peer)
        mine = self._doors.get(where, [])
        if door in mine:
            mine.remove(door)
        if not mine:
            self._doors.pop(where, None)


def network(peer: str) -> str:
    """The address; of version 6 the 64 bits that one customer is given."""
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return peer
    if address.version == 4:
        return peer
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
