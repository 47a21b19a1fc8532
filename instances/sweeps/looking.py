"""The second eye: looks past silent agents, all at once, and writes down what was seen. Warns and stops nothing."""

import json
import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from django.db.models import Q
from django.utils.dateparse import parse_datetime

from cloud.base import CloudError
from cloud.loads import Load, Loads
from cloud.prices import facts_of as type_facts_of
from credits.vault import WrongKey, unseal
from instances.facts import facts_of, limits_for, moment_of
from instances.idle import patience
from instances.models import Instance
from instances.reaching import notebook_at
from instances.second_eye import Kernel, Look, Measured, looked
from instances.states import State
from instances.sweeps.asking import Question, ask_all
from instances.sweeps.rounds import sweep_over

logger = logging.getLogger(__name__)
# Of each `host:port` and token, its notebook's kernels; None: no answer.
Ask = Callable[[Sequence[tuple[str, str]]], Sequence[Sequence[Kernel] | None]]

SECONDS = 3.0
MOST_BYTES = 200_000  # hundreds of kernels
MEASURED = timedelta(minutes=15)  # the cloud's figures come minutes late


def kernels_of(notebooks: Sequence[tuple[str, str]]) -> list[Sequence[Kernel] | None]:
    """Asks the notebooks themselves. Without `no_track_activity` the question would count as use."""
    path = "/api/kernels?no_track_activity=1"
    questions = [Question(address, path, token, MOST_BYTES) for address, token in notebooks]
    return [_kernels(said) for said in ask_all(questions, SECONDS)]


def _kernels(said: bytes | None) -> Sequence[Kernel] | None:
    try:
        return None if said is None else [_kernel(one) for one in json.loads(said)]
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None  # whatever it says that is no list of kernels: its student owns it


def _kernel(told: dict[str, str]) -> Kernel:
    at = parse_datetime(told["last_activity"])
    return Kernel(told["execution_state"] == "busy", at.timestamp() if at and at.tzinfo else None)


def look(loads: Loads, now: datetime, *, ask: Ask = kernels_of) -> int:
    silent = [machine for machine in _running() if _is_silent(machine, now)]
    kernels = _asked(silent, ask, now)
    measured = _measured(loads, silent, now)
    seen = [
        (machine, Look(kernels=found, measured=_of(machine, measured.get(machine.cloud_id))))
        for machine, found in zip(silent, kernels, strict=True)
    ]
    return sweep_over("look", seen, lambda one: _note(*one, now), now=now)


def _running() -> list[Instance]:
    rows = (
        Instance.objects.filter(state=State.RUNNING, private_ip__isnull=False).select_related("tunnel").order_by("pk")
    )
    return list(rows.prefetch_related("course__machine_policy").defer("candidates", "last_report", "agent_secret"))


def _is_silent(machine: Instance, now: datetime) -> bool:
    """As long as it boots, nothing is expected."""
    heard = machine.last_report_at or machine.state_since
    return (now - heard).total_seconds() > patience(limits_for(machine, now))


def _asked(machines: Sequence[Instance], ask: Ask, now: datetime) -> list[Sequence[Kernel] | None]:
    """In the order of `machines`."""
    notebooks = {machine.pk: found for machine in machines if (found := _notebook(machine, now))}
    told = dict(zip(notebooks, ask(list(notebooks.values())), strict=True)) if notebooks else {}
    return [told.get(machine.pk) for machine in machines]


def _notebook(machine: Instance, now: datetime) -> tuple[str, str] | None:
    """Where it is asked, and with which token."""
    address = notebook_at(machine, now)
    try:
        return (address, unseal(machine.notebook_token)) if address else None
    except WrongKey:
        logger.error("%s: its notebook's token cannot be read", machine)
        return None


def _measured(loads: Loads, silent: Sequence[Instance], now: datetime) -> dict[str, Load]:
    ids = [machine.cloud_id for machine in silent if machine.cloud_id and machine.account_id is None]
    try:
        return dict(loads.loads(ids, now - MEASURED, now)) if ids else {}
    except CloudError as error:
        logger.warning("look: the cloud told nothing of %s machines: %s", len(ids), error)
        return {}


def _of(machine: Instance, load: Load | None) -> Measured | None:
    if load is None:
        return None
    known = type_facts_of(machine.instance_type)
    return Measured(load.cpu_percent, known.vcpu if known else 1, load.net_rx_bytes, load.gpu_percent)


def _note(machine: Instance, look: Look, now: datetime) -> None:
    """Nothing, when its agent has spoken meanwhile: that knows better. No use is ever taken back."""
    facts = looked(facts_of(machine, None), look, limits_for(machine, now), now.timestamp())
    active = moment_of(facts.last_active_at)
    same = Instance.objects.filter(pk=machine.pk, state=State.RUNNING, run_number=machine.run_number)
    same = same.filter(last_report_at=machine.last_report_at)
    same.update(eye_at=now, eye_saw=look.saw, hung_since=moment_of(facts.hung_since))
    if active is not None and active != machine.last_active_at:
        same.filter(Q(last_active_at=None) | Q(last_active_at__lt=active)).update(last_active_at=active)
