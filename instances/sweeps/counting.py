"""The counting round: figures that pages show and no page should compute: savings, deadlines, price tags, data out."""

import time
from datetime import datetime

from instances import savings
from instances.deadlines import count_peaks
from instances.egress import count_data_out
from instances.sweeps.rounds import beat, for_each
from spend.price_tags import refresh_price_tags


def counting(now: datetime) -> int:
    """Level-triggered: what was missed is counted by the next round, and nothing twice."""
    began = time.monotonic()
    looked_at = for_each("counting", savings.open_stops(), savings.count)
    looked_at += for_each("counting", (count_peaks, refresh_price_tags, count_data_out), lambda count: count(now))
    beat("counting", looked_at, seconds=time.monotonic() - began, now=now)
    return looked_at
