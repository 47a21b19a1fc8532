"""Making and taking back one person's exceptions: each a row with its private reason. Disks follow a later last day."""

from dataclasses import asdict
from datetime import datetime

from django.db import transaction

from courses.models import Enrollment, User
from instances.limits import Limits, Override, PersonLimits, as_json, own_limits_of
from instances.longer import hold_longer
from instances.requesting import lock_line

Kind = Override.Kind
_KINDS = {
    "keep_hours": Kind.HOURS,
    "at_once": Kind.AT_ONCE,
    "ends_on": Kind.DEADLINE,
    "extra_presets": Kind.PRESETS,
    "only_presets": Kind.PRESETS,
}


@transaction.atomic
def set_limits(enrollment: Enrollment, wanted: Limits, *, why: str, who: User, now: datetime) -> list[Override]:
    """As the exceptions are to be; returns what changed. Raises BudgetRefused: disks cannot be paid for so long."""
    line = locked_owner(enrollment)
    before, after = asdict(own_limits_of(line)), asdict(wanted)
    changed = [name for name in _KINDS if as_json(before[name]) != as_json(after[name])]
    if not changed:
        return []
    PersonLimits.objects.update_or_create(
        enrollment=line, defaults={name: list(v) if isinstance(v, tuple) else v for name, v in after.items()}
    )
    rows = Override.objects.bulk_create(
        Override(
            enrollment=line,
            kind=_KINDS[name],
            before=_told(name, before[name]),
            after=_told(name, after[name]),
            why=why,
            who=who,
            at=now,
        )
        for name in changed
    )
    if "ends_on" in changed:
        hold_longer(line, who=who, now=now)
    return rows


def locked_owner(enrollment: Enrollment) -> Enrollment:
    """As a launch locks the line: what is judged by the exceptions is judged before or after them."""
    lock_line(enrollment)
    return Enrollment.objects.select_related("course", "limits").get(pk=enrollment.pk)


def _told(name: str, value: object) -> object:
    plain = as_json(value)
    return None if plain is None or plain == [] else {name: plain} if name.endswith("_presets") else plain
