"""What a machine reports, as it came over the wire: every field checked and bounded. Changes nothing."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from django.utils.translation import gettext as _

T = TypeVar("T")
MOST_SECONDS = 1e9
MOST_BYTES = 1e18
DOINGS_MOST = 16


class InvalidReport(Exception):
    """The message names the field."""


@dataclass(frozen=True, slots=True)
class Doing:
    """A kernel, or a program that somebody started, and what it used since the report before."""

    id: str
    name: str  # "kernel 3", "python3 (4711)"
    busy: bool
    cpu: int  # per cent of one core
    gpu: bool  # holds a part of a GPU


@dataclass(frozen=True, slots=True)
class Done:
    """What was waited for has ended, so many seconds ago."""

    task: str
    age_s: float


@dataclass(frozen=True, slots=True)
class Saved:
    """The last saving before a stop. `exit`: of the course's script; None: there was none, -1: it was cut off."""

    n: int
    exit: int | None
    seconds: float
    age_s: float


@dataclass(frozen=True, slots=True)
class Report:
    boot_id: str
    uptime_s: float
    gpu_busy_s: float | None  # None: there is a GPU, and it cannot be read
    cpu_s: float
    io_bytes: float
    net_rx_bytes: float
    human_age_s: float | None  # None: nobody so far
    kernels_busy: int
    agent_version: str
    gpu_percent: int | None = None  # on the average since the report before
    doings: tuple[Doing, ...] = ()
    done: Done | None = None
    reclaim_s: float | None = None
    saved: Saved | None = None
    net_tx_bytes: float | None = None  # None: an agent that does not count it


def parse(body: bytes) -> Report:
    """Raises InvalidReport. Fields that we do not know are left to newer agents."""
    try:
        said = json.loads(body)
    except ValueError:
        raise InvalidReport(_("The report is not JSON.")) from None
    if not isinstance(said, dict):
        raise InvalidReport(_("The report is not a JSON object."))
    return Report(
        boot_id=_text(said, "boot_id", 64),
        uptime_s=_number(said, "uptime_s", MOST_SECONDS),
        gpu_busy_s=_number_or_none(said, "gpu_busy_s", MOST_SECONDS),
        cpu_s=_number(said, "cpu_s", MOST_SECONDS),
        io_bytes=_number(said, "io_bytes", MOST_BYTES),
        net_rx_bytes=_number(said, "net_rx_bytes", MOST_BYTES),
        human_age_s=_number_or_none(said, "human_age_s", MOST_SECONDS),
        kernels_busy=int(_number(said, "kernels_busy", 10_000)),
        agent_version=_text(said, "agent_version", 40),
        gpu_percent=_percent(said, "gpu_percent"),
        doings=tuple(_doing(one) for one in _few(said, "doings", DOINGS_MOST)),
        done=_optional(said, "done", _done),
        reclaim_s=_number_or_none(said, "reclaim_s", MOST_SECONDS) if "reclaim_s" in said else None,
        saved=_optional(said, "saved", _saved),
        net_tx_bytes=_number(said, "net_tx_bytes", MOST_BYTES) if "net_tx_bytes" in said else None,
    )


# ------------------------------------------------------------------ parts that agents of version 2 tell
def _doing(said: Any) -> Doing:
    one = _mapping(said, "doings")
    flags = {name: one.get(name) for name in ("busy", "gpu")}
    if not all(isinstance(flag, bool) for flag in flags.values()):
        raise InvalidReport(_("%(field)s must be true or false.") % {"field": "busy, gpu"})
    cpu = int(_number(one, "cpu", 1_000_000))
    return Doing(_text(one, "id", 60), _text(one, "name", 40), bool(flags["busy"]), cpu, bool(flags["gpu"]))


def _done(said: dict[str, Any]) -> Done:
    return Done(_text(said, "task", 60), _number(said, "age_s", MOST_SECONDS))


def _saved(said: dict[str, Any]) -> Saved:
    code = said.get("exit")
    if code is not None and (isinstance(code, bool) or not isinstance(code, int) or not -256 <= code <= 256):
        raise InvalidReport(_("%(field)s must be a number.") % {"field": "exit"})
    return Saved(
        int(_number(said, "n", 1e6)), code, _number(said, "seconds", 1e5), _number(said, "age_s", MOST_SECONDS)
    )


def _optional(said: dict[str, Any], name: str, read: Callable[[dict[str, Any]], T]) -> T | None:
    return None if said.get(name) is None else read(_mapping(said[name], name))


def _mapping(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidReport(_("%(field)s must be a JSON object.") % {"field": name})
    return value


def _few(said: dict[str, Any], name: str, most: int) -> list[Any]:
    value = said.get(name, [])
    if not isinstance(value, list) or len(value) > most:
        raise InvalidReport(_("%(field)s must be a list of at most %(most)d.") % {"field": name, "most": most})
    return value


def _percent(said: dict[str, Any], name: str) -> int | None:
    return None if said.get(name) is None else int(_number(said, name, 100))


# ------------------------------------------------------------------ fields


def _number(said: dict[str, Any], name: str, most: float) -> float:
    value = said.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidReport(_("%(field)s must be a number.") % {"field": name})
    if not (0 <= value <= most) or math.isnan(value):
        raise InvalidReport(_("%(field)s must be between 0 and %(most)g.") % {"field": name, "most": most})
    return float(value)


def _number_or_none(said: dict[str, Any], name: str, most: float) -> float | None:
    return None if name in said and said[name] is None else _number(said, name, most)


def _text(said: dict[str, Any], name: str, most: int) -> str:
    value = said.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= most or not value.isprintable():
        raise InvalidReport(_("%(field)s must be 1 to %(most)d printable letters.") % {"field": name, "most": most})
    return value


# ------------------------------------------------------------------ for the other doors of machines
def words(said: dict[str, Any], name: str, most: int) -> str:
    return _text(said, name, most)


def whole_number(said: dict[str, Any], name: str, most: float) -> int:
    return int(_number(said, name, most))
