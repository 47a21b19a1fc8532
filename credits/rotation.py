"""All codes under the newest key. Can be broken off at any moment and said again: what is done is seen to be done."""

from collections.abc import Callable
from dataclasses import dataclass

from django.views.decorators.debug import sensitive_variables

from credits import vault
from credits.models import CreditCode

CHUNK = 500


@dataclass(slots=True)
class Rotated:
    resealed: int = 0
    current: int = 0  # under the newest key already
    unreadable: int = 0  # no key opens them: the key that does is missing from LAMPLIGHTER_CODE_KEYS


@sensitive_variables()
def rotate_codes(progress: Callable[[Rotated], object] = lambda _done: None) -> Rotated:
    """Seal every code anew that is not under the newest key. `progress` is told after each 500."""
    done, last = Rotated(), 0
    while True:
        rows = CreditCode.objects.filter(pk__gt=last).order_by("pk").values_list("pk", "ciphertext")[:CHUNK]
        for last, ciphertext in rows:
            _rotate(last, ciphertext, done)
        if not rows:
            return done
        progress(done)


@sensitive_variables()
def _rotate(pk: int, ciphertext: str, done: Rotated) -> None:
    if vault.is_newest(ciphertext):
        done.current += 1
        return
    try:
        sealed = vault.reseal(ciphertext)
    except vault.WrongKey:
        done.unreadable += 1
        return
    # Only over what was read: somebody may do the same in another window.
    done.resealed += CreditCode.objects.filter(pk=pk, ciphertext=ciphertext).update(ciphertext=sealed)
