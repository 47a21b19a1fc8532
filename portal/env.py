"""Reads settings from the environment. Does not know what any setting means.

What cannot be read is one line that names the variable, never a traceback of a parser.
"""

import json
import os
from collections.abc import Sequence

from django.core.exceptions import ImproperlyConfigured


def text(name: str, default: str = "") -> str:
    return os.environ.get(name, default)


def flag(name: str, default: bool = False) -> bool:
    """`1`, `true`, `yes` and `on` are true, in any case; everything else is false."""
    value = os.environ.get(name)
    return default if value is None else value.strip().lower() in {"1", "true", "yes", "on"}


def number(name: str, default: int) -> int:
    value = os.environ.get(name, "").strip()
    try:
        return int(value) if value else default
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a whole number, not {value!r}.") from None


def choice(name: str, default: str, options: Sequence[str]) -> str:
    value = os.environ.get(name, "").strip() or default
    if value not in options:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(options)}, not {value!r}.")
    return value


def words(name: str, default: str = "") -> list[str]:
    """A comma-separated list; empty parts are dropped."""
    return [part.strip() for part in os.environ.get(name, default).split(",") if part.strip()]


def pairs(name: str, default: str = "") -> dict[str, str]:
    """`a=1,b=2` as a dict."""
    parts = words(name, default)
    if any("=" not in part for part in parts):
        raise ImproperlyConfigured(f"{name} must be name=value pairs with commas between them.")
    return dict(part.split("=", 1) for part in parts)


def records(name: str, *, required: Sequence[str]) -> list[dict[str, object]]:
    """A JSON list of objects, each with the required keys. Its value may hold secrets, so no message shows it."""
    try:
        found = json.loads(os.environ.get(name, "").strip() or "[]")
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} is not JSON: {error}.") from None
    if not isinstance(found, list) or not all(isinstance(record, dict) for record in found):
        raise ImproperlyConfigured(f"{name} must be a JSON list of objects.")
    for record in found:
        missing = [key for key in required if not record.get(key)]
        if missing:
            raise ImproperlyConfigured(f"{name}: an entry lacks {', '.join(missing)}.")
    return found
