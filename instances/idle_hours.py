"""Idle time by run and UTC hour, as a machine's row keeps it: what its reports prove to be unused. Pure.

A report tells of the time since the one before it. Time that no report covers is not here: doubt counts as use.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

_HOUR = timedelta(hours=1)
KEPT = timedelta(days=3)  # an hour is charged within minutes, unless the meter stands still
_FORM = "%Y-%m-%dT%H"


def with_idle_time(hours: Mapping[str, int], run: int, since: datetime | None, until: datetime) -> dict[str, int]:
    """`hours` and the seconds from `since` to `until`, cut into UTC hours; what is older than KEPT is dropped."""
    oldest = (until - KEPT).astimezone(UTC).strftime(_FORM)
    found = {key: seconds for key, seconds in hours.items() if key.partition(":")[2] >= oldest}
    here = since.astimezone(UTC) if since else until
    while here < until:
        hour = here.replace(minute=0, second=0, microsecond=0)
        end = min(until, hour + _HOUR)
        key = f"{run}:{hour.strftime(_FORM)}"
        seconds = int((end - hour).total_seconds()) - int((here - hour).total_seconds())
        found[key] = min(3600, found.get(key, 0) + seconds)
        here = end
    return found


def idle_in_run(hours: Mapping[str, int], run: int) -> dict[datetime, int]:
    """Idle seconds of one run by the first moment of the UTC hour."""
    parts = ((key.partition(":"), seconds) for key, seconds in hours.items())
    return {
        datetime.strptime(hour, _FORM).replace(tzinfo=UTC): seconds
        for (number, _colon, hour), seconds in parts
        if number == str(run)
    }
