"""May machines run in this account? Asked of AWS before the first one and once a day: who gets in, where one is then,
and whether the rights are there. A role that lets in others than the portal is refused."""

import logging
import secrets
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import Q
from django.utils.translation import gettext as _

from cloud.base import Cloud, CloudError, LaunchSpec, Transient
from instances.account_records import CloudAccount, new_external_id
from instances.account_survey import may_be_surveyed, survey
from instances.accounts import LAUNCH, door_of
from instances.launching import image_of
from instances.models import Preset

logger = logging.getLogger(__name__)
DAILY = timedelta(hours=24)
AGAIN = timedelta(minutes=10)
_REHEARSALS = 5


class Finding(NamedTuple):
    """`words`: what was found and, where it is wrong, what to do next."""

    what: str
    ok: bool
    words: str


def is_due(account: CloudAccount, now: datetime) -> bool:
    """What was found wrong is looked at again soon: it may pass by itself, and nothing is launched there until then."""
    after = AGAIN if account.passed_at is None else DAILY
    return account.checked_at is None or account.checked_at <= now - after


def attend(account: CloudAccount, *, cloud: Cloud, now: datetime) -> None:
    """What a click asks for: who the portal is, for the template; and, once the stack was told, check and survey."""
    try:
        arn = cloud.accounts.own_arn()
        CloudAccount.objects.filter(pk=account.pk).update(portal_arn=arn)
    except CloudError as error:
        logger.warning("account %s: AWS did not say who we are: %s", account.account_id, error)
    if account.role_arn:
        check(account, cloud=cloud, now=now)
        account.refresh_from_db()
        if may_be_surveyed(account):
            survey(account, cloud=cloud, now=now)


def check(account: CloudAccount, *, cloud: Cloud, now: datetime) -> bool | None:
    """Asks AWS and keeps the answer. None: AWS did not say, so what was known stays, and it is asked again."""
    found: list[Finding] = []
    try:
        for finding in _look(account, cloud, now):
            found.append(finding)
            if not finding.ok:
                break  # the rest would only repeat it
    except Transient as error:
        logger.warning("account %s: not checked: %s", account.account_id, error)
        return None
    passed = all(one.ok for one in found)
    # A slow check never overrules a newer one, nor what was told meanwhile of another role.
    newest = Q(checked_at=None) | Q(checked_at__lte=now)
    same = CloudAccount.objects.filter(newest, pk=account.pk, role_arn=account.role_arn, removed_at=None)
    told = [one._asdict() for one in found]
    same.update(checked_at=now, passed_at=now if passed else None, findings=told)
    return passed


def _look(account: CloudAccount, cloud: Cloud, now: datetime) -> Iterator[Finding]:
    yield _enters(account, cloud)
    yield _refuses(account, cloud, None, "without")
    yield _refuses(account, cloud, new_external_id(), "wrong")
    door = door_of(cloud, account)
    yield _reads(door)
    yield _has_timer(door, now)
    on_demand = Preset.objects.filter(course=account.course_id, enabled=True, market=Preset.Market.ON_DEMAND)
    rehearsed = [_would_launch(preset, door) for preset in on_demand[:_REHEARSALS]]
    # Not every preset is for this account: one whose image lies in the course's own is no fault of it.
    yield from sorted(rehearsed, key=lambda one: not one.ok)[:1]


def _enters(account: CloudAccount, cloud: Cloud) -> Finding:
    try:
        where = cloud.accounts.enter(account.role_arn, account.external_id)
    except Transient:
        raise
    except CloudError as error:
        words = _("AWS does not let the portal in (%(text)s). Deploy the template with exactly this external id.")
        return Finding("enter", False, words % {"text": error})
    if where != account.account_id:
        words = _("The role leads into the account %(where)s, not %(said)s. Correct the account's number or its role.")
        return Finding("enter", False, words % {"where": where, "said": account.account_id})
    return Finding("enter", True, _("The portal gets in, and is in the account %(id)s.") % {"id": where})


def _refuses(account: CloudAccount, cloud: Cloud, said: str | None, what: str) -> Finding:
    try:
        cloud.accounts.enter(account.role_arn, said)
    except Transient:
        raise
    except CloudError:
        told = {"without": _("Without the external id nobody gets in."), "wrong": _("With another one neither.")}
        return Finding(what, True, told[what])
    words = _(
        "This role lets in anybody who makes the portal say its name: AWS did not ask for the external id. It is not "
        "used. Deploy the template as it is, with its condition on the external id."
    )
    return Finding(what, False, words)


def _reads(door: Cloud) -> Finding:
    try:
        door.describe_all()
    except Transient:
        raise
    except CloudError as error:
        return Finding("look", False, _("Machines cannot be seen there: %(text)s. Update the stack.") % {"text": error})
    return Finding("look", True, _("The portal sees its machines there."))


def _has_timer(door: Cloud, now: datetime) -> Finding:
    """The guard that works with the portal dead must stand in that account."""
    nobody = f"i-{secrets.token_hex(9)[1:]}"  # each check a timer of its own, which stops nothing: two may be at it
    try:
        door.schedule_stop(nobody, now + timedelta(days=1))
        door.cancel_scheduled_stop(nobody)
    except Transient:
        raise
    except CloudError as error:
        words = _("AWS's own timer cannot be set there (%(text)s), so nothing is launched there. Update the stack.")
        return Finding("timer", False, words % {"text": error})
    return Finding("timer", True, _("AWS's own timer can be set there."))


def _would_launch(preset: Preset, door: Cloud) -> Finding:
    """A rehearsal: AWS says what it would say, and launches nothing."""
    instance_type = preset.instance_types[0]
    values = {"preset": preset.name, "type": instance_type}
    try:
        zones = door.zones_offering(instance_type)
        if not zones:
            words = _("AWS offers %(type)s in none of that account's zones. Choose subnets in other zones.")
            return Finding(LAUNCH, False, words % values)
        door.rehearse(
            LaunchSpec(
                token=f"check-{secrets.token_hex(8)}",
                name="check",
                instance_type=instance_type,
                zone=zones[0],
                image_id=image_of(preset, door),
                disk_gb=preset.disk_gb,
                user_data="#cloud-config\n{}",
            )
        )
    except Transient:
        raise
    except CloudError as error:
        words = _(
            "A launch of “%(preset)s” would be refused (%(text)s). If it is about the image, share it with that "
            "account; else update the stack."
        )
        return Finding(LAUNCH, False, words % {**values, "text": error})
    return Finding(LAUNCH, True, _("A launch of “%(preset)s” would be accepted.") % values)
