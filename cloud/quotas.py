"""AWS's vCPU quotas for machines: which one a type counts in. Pure; read from the type's name, as AWS groups them.

One quota is for all types of a family in a region, on demand and Spot apart.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QuotaName:
    code: str
    name: str  # AWS's own words, to be found on its pages


SERVICE = "ec2"
_STANDARD = QuotaName("L-1216C47A", "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances")
_G = QuotaName("L-DB2E81BA", "Running On-Demand G and VT instances")
_P = QuotaName("L-417A185B", "Running On-Demand P instances")
_SPOT_G = QuotaName("L-3819A6DF", "All G and VT Spot Instance Requests")
_SPOT_P = QuotaName("L-7212CCBC", "All P4, P3 and P2 Spot Instance Requests")
_SPOT_P5 = QuotaName("L-C4BD4855", "All P5 Spot Instance Requests")
_SPOT_STANDARD = QuotaName("L-34B43A08", "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests")
NAMES = {one.code: one for one in (_STANDARD, _G, _P, _SPOT_G, _SPOT_P, _SPOT_P5, _SPOT_STANDARD)}
_ON_DEMAND = {"g": _G, "vt": _G, "p": _P}
_SPOT = {"g": _SPOT_G, "vt": _SPOT_G, "p": _SPOT_P}
_STANDARD_FAMILIES = frozenset("acdhimrtz")


def quota_of(instance_type: str, *, spot: bool = False) -> QuotaName | None:
    """None: a family of a kind that is not known here (Inferentia, Trainium, …)."""
    family = instance_type.partition(".")[0]
    found = re.match(r"[a-z]+", family)
    letters = found[0] if found else ""
    if spot and family.startswith("p5"):
        return _SPOT_P5
    # "gr6" and "g6e" are G as well; "mac", "inf", "trn", "dl" have quotas of their own.
    if letters.startswith("g"):
        letters = "g"
    special = (_SPOT if spot else _ON_DEMAND).get(letters)
    if special:
        return special
    if letters and letters[0] in _STANDARD_FAMILIES and letters not in ("inf", "trn", "dl", "mac", "hpc"):
        return _SPOT_STANDARD if spot else _STANDARD
    return None
