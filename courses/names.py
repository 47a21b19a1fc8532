"""People's names and addresses as files write them, made as people write them. Pure; guesses no gender, no script."""

import re
import unicodedata

LONGEST_NAME = 200
LONGEST_ADDRESS = 254
_SUFFIXES = frozenset({"jr", "jr.", "sr", "sr.", "ii", "iii", "iv", "phd", "ph.d.", "md", "m.d."})
# They turn the text after them around or hide it: a name may not reorder the row that it stands in.
_TURNING = {0x200E, 0x200F, 0xFEFF, *range(0x202A, 0x202F), *range(0x2066, 0x206A)}
_WITH_NAME = re.compile(r"^(?P<name>[^<>]*)<(?P<address>[^<>]+)>\s*$")
# What mail servers take in practice; the wide rule of the standard lets typing errors pass.
_ADDRESS = re.compile(r"^[\w.!#$%&'*+/=?^`{|}~-]+@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{1,62}$")
_FORMULA_MARKS = ("=", "+", "-", "@", "\t", "\r")


def plain(cell: str) -> str:
    """One line of visible characters in composed form; the apostrophe that our own export put before = is taken off."""
    composed = unicodedata.normalize("NFC", cell)
    kept = "".join(" " if _is_break(char) else char for char in composed if ord(char) not in _TURNING)
    text = " ".join(kept.split())
    return text[1:] if text.startswith("'") and text[1:].startswith(_FORMULA_MARKS) else text


def _is_break(char: str) -> bool:
    return unicodedata.category(char) in {"Cc", "Zl", "Zp", "Cs"}


def full_name(cell: str) -> str:
    """`Last, First` becomes `First Last`, in any script; a suffix stays at the end. Other names stay as they are."""
    text = plain(cell).replace("，", ",").replace("、", ",")
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if len(parts) < 2:
        return parts[0] if parts else ""
    tail = parts.pop() if parts[-1].lower() in _SUFFIXES else ""
    if len(parts) != 2:  # one part and a suffix, or a list of who knows what
        return " ".join([*parts, tail]).strip() if len(parts) == 1 else text
    family, given = parts
    return " ".join(part for part in (given, family, tail) if part)


def address_in(cell: str) -> tuple[str, str]:
    """Address (lower case) and the name before it, of `Ada <ada@x.edu>`, `mailto:ada@x.edu` or the address alone."""
    text = plain(cell)
    found = _WITH_NAME.match(text)
    name, address = (found["name"].strip(' "'), found["address"]) if found else ("", text)
    return address.strip().removeprefix("mailto:").strip(" ;,").lower(), name


def is_address(text: str) -> bool:
    return len(text) <= LONGEST_ADDRESS and ".." not in text and _ADDRESS.match(text) is not None
