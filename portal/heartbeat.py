"""The guard's own heartbeat to somewhere outside: a GET while every sweep is on time, another when one is late, or when
none of the machines can be heard.

When worker, beat, database or the whole server are gone, nothing is sent, and that is the alarm. Harms no sweep: it is
a round of its own, and whatever goes wrong with it is a line in the log.
"""

import logging
import urllib.request
from datetime import datetime
from urllib.error import URLError

from instances.hearing import hearing
from portal.guards import guards

logger = logging.getLogger(__name__)
SECONDS = 5.0


def ping(url: str, now: datetime, period_seconds: int) -> bool:
    """True when it was heard. `url` gets "/fail" behind it while a sweep is late, as healthchecks.io has it.

    Right after a start it says nothing: that all is well is not known yet, and a worker that dies again and again must
    not go on saying so.
    """
    found = guards(now, period_seconds) if url else []
    if not found or any(guard.starting for guard in found):
        return False
    late = [guard.name for guard in found if guard.late]
    if hearing().is_trouble(now):
        late.append("reports of machines")
    if late:
        logger.warning("heartbeat: late: %s", ", ".join(late))
    try:
        with urllib.request.urlopen(url.rstrip("/") + ("/fail" if late else ""), timeout=SECONDS):  # noqa: S310
            return True
    except (URLError, OSError, ValueError) as error:
        logger.warning("heartbeat: not heard: %s", type(error).__name__)
        return False
