"""Says one thing to many machines when one bad id fails the whole call. Knows no AWS: the call is handed in."""

import re
from collections import deque
from collections.abc import Callable, Sequence

from cloud.base import AccountBlocked, CloudError, Outcome, Transient

BATCH = 100  # ids per call: keeps one unexpected failure small
_WORD = re.compile(r"[\w-]+")
# Neither is about one id: dividing the batch would only ask more often.
_ABOUT_NO_ID = (Transient, AccountBlocked)


def say_to_each(cloud_ids: Sequence[str], call: Callable[[list[str]], object], size: int = BATCH) -> list[Outcome]:
    """`call(ids)` until every id has an outcome: accepted together, or told apart.

    An id that the error names is dropped and the rest is said again; an error that names none is found by halving.
    """
    ids = list(dict.fromkeys(cloud_ids))
    errors: dict[str, CloudError | None] = {}
    waiting = deque(ids[start : start + size] for start in range(0, len(ids), size))
    while waiting:
        batch = waiting.popleft()
        try:
            call(batch)
        except _ABOUT_NO_ID as error:
            # Asking on would be throttled as well: these, and all that were not asked, hear the same.
            errors |= dict.fromkeys([*batch, *(one for rest in waiting for one in rest)], error)
            break
        except CloudError as error:
            waiting.extendleft(reversed(_tell_apart(batch, error, errors)))
        else:
            errors |= dict.fromkeys(batch)
    return [Outcome(one, errors[one]) for one in ids]


def _tell_apart(batch: list[str], error: CloudError, errors: dict[str, CloudError | None]) -> list[list[str]]:
    """Notes the ids that are known to be bad; returns what has to be said again."""
    named = set(_WORD.findall(str(error)))
    bad = [one for one in batch if one in named]
    if len(batch) == 1:
        bad = batch
    if not bad:
        middle = len(batch) // 2
        return [batch[:middle], batch[middle:]]
    errors |= dict.fromkeys(bad, error)
    rest = [one for one in batch if one not in bad]
    return [rest] if rest else []
