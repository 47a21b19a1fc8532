"""One column's secrets under the newest key. Can be broken off at any moment and said again: what is done is seen.

Which columns there are knows `portal/sealed.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.views.decorators.debug import sensitive_variables

from credits import vault

CHUNK = 500


@dataclass(slots=True)
class Rotated:
    resealed: int = 0
    current: int = 0  # under the newest key already
    unreadable: int = 0  # no key opens them: the key that does is missing from LAMPLIGHTER_CODE_KEYS


@sensitive_variables()
def rotate(every: QuerySet[Any], column: str, progress: Callable[[Rotated], object] = lambda _done: None) -> Rotated:
    """Seal all of it anew that is not under the newest key. `progress` is told after each 500."""
    done = Rotated()
    found = every.exclude(**{column: ""}).order_by("pk")
    rows = list(found.values_list("pk", column)[:CHUNK])
    while rows:
        for pk, ciphertext in rows:
            _rotate(every, column, pk, ciphertext, done)
        progress(done)
        rows = list(found.filter(pk__gt=rows[-1][0]).values_list("pk", column)[:CHUNK])
    return done


@sensitive_variables()
def _rotate(every: QuerySet[Any], column: str, pk: Any, ciphertext: str, done: Rotated) -> None:
    if vault.is_newest(ciphertext):
        done.current += 1
        return
    try:
        sealed = vault.reseal(ciphertext)
    except vault.WrongKey:
        done.unreadable += 1
        return
    # Only over what was read: somebody may do the same in another window.
    mine = every.model._default_manager.filter(pk=pk, **{column: ciphertext})
    done.resealed += mine.update(**{column: sealed})
