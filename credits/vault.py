"""Seals secrets at rest: AWS codes and machine tokens. Knows no models; never logs what it is given."""

import hashlib
import hmac
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.views.decorators.debug import sensitive_variables


class WrongKey(Exception):
    """No key of CODE_KEYS opens this ciphertext. The message never holds the ciphertext."""


@lru_cache(maxsize=4)
def _box_for(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def _box() -> MultiFernet:
    """Seals with the first key, opens with any: so a new key can be put in front while old rows stay readable."""
    return _box_for(tuple(settings.CODE_KEYS))


@sensitive_variables()  # an error page must not show what was to be sealed
def seal(text: str) -> str:
    """The text encrypted and authenticated; twice the same text gives two different ciphertexts."""
    return _box().encrypt(text.encode()).decode("ascii")


@sensitive_variables()
def unseal(ciphertext: str) -> str:
    """Raises `WrongKey` when no key fits or the ciphertext was changed."""
    try:
        return _box().decrypt(ciphertext.encode("ascii")).decode()
    except (InvalidToken, UnicodeEncodeError) as error:
        raise WrongKey("No key of LAMPLIGHTER_CODE_KEYS opens this.") from error


@sensitive_variables()
def reseal(ciphertext: str) -> str:
    """The same secret under the newest key. Raises `WrongKey` like `unseal`."""
    try:
        return _box().rotate(ciphertext.encode("ascii")).decode("ascii")
    except (InvalidToken, UnicodeEncodeError) as error:
        raise WrongKey("No key of LAMPLIGHTER_CODE_KEYS opens this.") from error


@sensitive_variables()
def is_newest(ciphertext: str) -> bool:
    """Whether the newest key opens it: then there is nothing to reseal."""
    try:
        _box_for(tuple(settings.CODE_KEYS[:1])).decrypt(ciphertext.encode("ascii"))
    except (InvalidToken, UnicodeEncodeError):
        return False
    return True


@sensitive_variables()
def fingerprint(text: str) -> str:
    """64 hex digits: equal for equal texts, and useless for guessing without CODE_HASH_KEY (HMAC-SHA-256)."""
    return hmac.new(settings.CODE_HASH_KEY.encode(), text.encode(), hashlib.sha256).hexdigest()
