"""A stopped machine becomes a bigger or smaller one on the same disk: the row first, then AWS, before its next start.

The row says what it shall be (`instance_type`, its price frozen), `cloud_type` what AWS's machine is: empty while that
is not known, as during each call that changes it. Until both are the same, `resized_from` is what AWS's machine was at
last for certain: what a refusal leaves, however often its student has changed their mind since.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from cloud.base import Cloud, CloudError, NotFound, Transient, WrongState
from courses.models import User
from instances import approvals, books
from instances.accounts import door_for
from instances.calling import same_attempt, still_ours
from instances.launch_rules import affordable, refusal
from instances.models import Instance, InstanceEvent, Preset
from instances.moves import tell
from instances.refusals import LaunchRefused, words
from instances.requesting import at_once, kind_of, locked, person_of
from instances.states import State

logger = logging.getLogger(__name__)
Kind = InstanceEvent.Kind
WAS = ("preset", "type", "usd", "lease")


@transaction.atomic
def request_resize(instance: Instance, preset: Preset, *, who: User | None, now: datetime) -> Instance:
    """The machine is to be one of `preset` from its next start on. Raises LaunchRefused or BudgetRefused.

    Held is nothing while it is stopped; but a machine that could not be started afterwards helps nobody.
    """
    owner = locked(instance.owner)
    rows = Instance.objects.select_for_update(no_key=True, of=("self",)).select_related("owner", "course", "preset")
    machine = rows.get(pk=instance.pk)
    preset = Preset.objects.get(pk=preset.pk, course=machine.course_id)
    if machine.state != State.STOPPED:
        raise LaunchRefused(_("Stop the machine first: its kind can be changed only while it is stopped."))
    if machine.proving:
        raise LaunchRefused(_("This machine belongs to a fire drill, whose cost was told before."))
    if preset.market != machine.preset.market:
        raise LaunchRefused(_("A machine cannot change between Spot and on demand. Launch another from a copy."))
    approvals.take_back(machine)
    kind = kind_of(preset)
    why = refusal(person_of(owner, preset, now), books.dates_for(owner, owner.course), kind, now)
    if why:
        raise LaunchRefused(words(why, preset, per_person=at_once(owner, preset)))
    chosen = affordable(kind)[0]
    books.check_new_run(machine, chosen.usd_hour + machine.address_usd_hour, preset.lease_seconds)
    before = {"preset": machine.preset_id, "type": machine.instance_type, "usd": str(machine.price_usd_hour)}
    leave = {"leave": machine.run_number} if approvals.use(machine, preset, now=now) else {}
    was = pending(machine) or before | {"lease": machine.lease_seconds}
    Instance.objects.filter(pk=machine.pk).update(
        preset=preset,
        instance_type=chosen.instance_type,
        price_usd_hour=chosen.usd_hour,
        lease_seconds=preset.lease_seconds,
        resized_from=({} if chosen.instance_type == machine.cloud_type else {name: was[name] for name in WAS}) | leave,
    )
    values = {"old": machine.preset.name, "new": preset.name, "type": chosen.instance_type}
    reason = _("From %(old)s to %(new)s (%(type)s), on the same disk") % values
    tell(machine, Kind.MOVED, reason=reason, who=who, now=now, facts={"usd_hour": str(chosen.usd_hour), **before})
    machine.refresh_from_db()
    return machine


def pending(machine: Instance) -> dict[str, Any]:
    """What AWS's machine was when it was last known, while it may not be what the row says; else nothing."""
    was: dict[str, Any] = machine.resized_from
    return was if "type" in was and machine.cloud_type != machine.instance_type else {}


def fit(machine: Instance, *, cloud: Cloud, clock: Callable[[], datetime]) -> bool:
    """AWS's machine is of the row's type; False when that is not known yet. Raises CloudError when AWS refuses it."""
    known = machine.cloud_type
    if known == machine.instance_type:
        return True
    # Unknown from here on: whoever dies, or hears nothing, must not believe later that it still is what it was.
    if not still_ours(machine, clock()) or not _note(machine, ""):
        return False
    try:
        door_for(cloud, machine).change_type(machine.cloud_id, machine.instance_type)
    except (Transient, NotFound, WrongState) as error:
        logger.warning("%s: not %s yet: %s", machine, machine.instance_type, error)
        return False
    except CloudError as error:
        logger.error("%s: AWS refused %s: %s", machine, machine.instance_type, error)
        _note(machine, known)
        raise
    leave = {name: value for name, value in machine.resized_from.items() if name == "leave"}
    return _note(machine, machine.instance_type, resized_from=leave)


def _note(machine: Instance, cloud_type: str, **more: Any) -> bool:
    """False when the row went on meanwhile: then nothing is noted, and what AWS has is asked for again."""
    same = same_attempt(machine).filter(state=State.LAUNCHING, instance_type=machine.instance_type)
    fields = {"cloud_type": cloud_type, **more}
    if not same.update(**fields):
        return False
    for name, value in fields.items():
        setattr(machine, name, value)
    return True


def take_back(machine: Instance, why: str, *, now: datetime) -> None:
    """As AWS's machine was, in the transaction that stops its start: begun anew, it would run on what is held for
    another type."""
    was = pending(machine)
    approvals.take_back(machine)
    fields: dict[str, Any] = {
        "preset_id": was["preset"],
        "instance_type": was["type"],
        "price_usd_hour": Decimal(was["usd"]),
        "lease_seconds": was["lease"],
        "resized_from": {},
    }
    Instance.objects.filter(pk=machine.pk).update(**fields)
    reason = _("AWS refused another type (%(text)s); it stays what it was.") % {"text": why}
    tell(machine, Kind.REFUSED, reason=reason, now=now, mail_to=machine.owner.email)
    for name, value in fields.items():
        setattr(machine, name, value)
