"""A stopped machine becomes a bigger or smaller one on the same disk: the row first, then AWS, before its next start.

The row says what it shall be (`instance_type`, its price frozen), `cloud_type` what AWS was last told to make it.
"""

import logging
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext as _

from cloud.base import AccountBlocked, Cloud, CloudError, NotFound, Transient, WrongState
from courses.models import User
from instances import approvals, books
from instances.accounts import door_for
from instances.launch_rules import affordable, refusal
from instances.models import Instance, InstanceEvent, Preset
from instances.moves import tell
from instances.refusals import LaunchRefused, words
from instances.requesting import at_once, kind_of, locked, person_of
from instances.states import State

logger = logging.getLogger(__name__)
Kind = InstanceEvent.Kind


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
    Instance.objects.filter(pk=machine.pk).update(
        preset=preset,
        instance_type=chosen.instance_type,
        price_usd_hour=chosen.usd_hour,
        lease_seconds=preset.lease_seconds,
        resized_from=before | {"lease": machine.lease_seconds} | leave,
    )
    values = {"old": machine.preset.name, "new": preset.name, "type": chosen.instance_type}
    reason = _("From %(old)s to %(new)s (%(type)s), on the same disk") % values
    tell(machine, Kind.MOVED, reason=reason, who=who, now=now, facts={"usd_hour": str(chosen.usd_hour), **before})
    machine.refresh_from_db()
    return machine


def fit(machine: Instance, *, cloud: Cloud, now: datetime) -> bool:
    """AWS's machine is of the row's type; False when that is not so yet, or was refused and taken back."""
    if machine.cloud_type in ("", machine.instance_type):
        return True
    try:
        door_for(cloud, machine).change_type(machine.cloud_id, machine.instance_type)
    except (Transient, NotFound, WrongState) as error:
        logger.warning("%s: not %s yet: %s", machine, machine.instance_type, error)
        return False
    except AccountBlocked:  # whoever starts it says so: the row keeps its new type
        raise
    except CloudError as error:
        logger.error("%s: AWS refused %s: %s", machine, machine.instance_type, error)
        take_back(machine, str(error), now=now)
        return False
    same = Instance.objects.filter(pk=machine.pk, instance_type=machine.instance_type)
    same.update(cloud_type=F("instance_type"))
    machine.cloud_type = machine.instance_type
    return True


def take_back(machine: Instance, why: str, *, now: datetime) -> None:
    """As it was before: that it could be started with is known."""
    was = machine.resized_from
    if not was:
        return
    fields: dict[str, Any] = {
        "preset_id": was["preset"],
        "instance_type": was["type"],
        "price_usd_hour": Decimal(was["usd"]),
        "lease_seconds": was["lease"],
        "resized_from": {},
    }
    with transaction.atomic():
        same = Instance.objects.filter(pk=machine.pk, instance_type=machine.instance_type)
        if same.update(**fields):
            approvals.take_back(machine)
            reason = _("AWS refused another type (%(text)s); it stays what it was.") % {"text": why}
            tell(machine, Kind.REFUSED, reason=reason, now=now, mail_to=machine.owner.email)
    for name, value in fields.items():
        setattr(machine, name, value)
