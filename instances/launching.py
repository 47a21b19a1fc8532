"""From a request to a machine: the questions to AWS. That a machine runs is seen by the repair sweep, not here.

Asked again after any death, with the same token, the same question gives the same machine.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from cloud.base import (
    AccountBlocked,
    Cloud,
    CloudError,
    LaunchSpec,
    MachineView,
    NoCapacity,
    NotFound,
    QuotaReached,
    Refused,
    TokenMismatch,
    Transient,
)
from cloud.quotas import quota_of
from credits.vault import WrongKey
from instances import books, guard, queueing
from instances.accounts import door_for
from instances.aws_words import as_told, none_there, refused_words
from instances.boot import UserDataTooLong, user_data
from instances.called_off import close_if_unborn, delete_unwanted
from instances.calling import answered, claim_call, end_call, running_clock, same_attempt, still_ours
from instances.launch_rules import Candidate, in_zones
from instances.models import Instance, InstanceEvent, Policy, Preset
from instances.moves import move, tell
from instances.notices import staff_address
from instances.queue_rules import Lanes, WaitsFor, open_to
from instances.restoring import find_image
from instances.states import State
from instances.stopping import end_requests, stop, terminate

logger = logging.getLogger(__name__)
Kind = InstanceEvent.Kind


def launch(instance_id: int, *, cloud: Cloud, now: datetime) -> None:
    """Ask AWS for the machine, candidate by candidate, until one is given or none is left.

    Safe to say twice, at once or after a death. An answer that is lost or unclear leaves the row in LAUNCHING with
    its token: the repair sweep asks the same again.
    """
    machine = _read(instance_id)
    if machine.cloud_id:
        return
    # Who is in the queue is asked for when the queue's round comes to it.
    if machine.state == State.REQUESTED and (
        machine.queued_at or not _choose_first(machine, queueing.lanes_ahead(machine), cloud, now)
    ):
        return
    _ask_on(machine, cloud, now)


def take_turn(instance_id: int, *, blocked: Lanes, cloud: Cloud, now: datetime) -> None:
    """Ask for a machine that waits in the queue, for all that nobody ahead of it waits for. Safe to say twice."""
    machine = _read(instance_id)
    if machine.state == State.REQUESTED and _choose_first(machine, blocked, cloud, now):
        _ask_on(machine, cloud, now)


def _read(instance_id: int) -> Instance:
    whole = Instance.objects.select_related(
        "owner__limits", "course__machine_policy", "preset", "restored_from", "account"
    )
    return whole.get(pk=instance_id)


def _ask_on(machine: Instance, cloud: Cloud, now: datetime) -> None:
    clock = running_clock(now)
    while claim_call(machine, clock()) and not _ask(machine, cloud, clock):
        pass


def _choose_first(machine: Instance, blocked: Lanes, cloud: Cloud, now: datetime) -> bool:
    wanted = [Candidate.from_json(value) for value in machine.candidates]
    now_open = open_to(wanted, blocked, spot=machine.spot)
    if not now_open:
        queueing.join(machine, WaitsFor.CAPACITY, now=now)
        return False
    door = door_for(cloud, machine)
    try:
        if not find_image(machine, cloud=cloud):
            return False
        questions = _questions(now_open, wanted, door)
        image_id = machine.image_id or image_of(machine.preset, door)
    except (Refused, NotFound) as error:
        logger.error("%s: cannot be restored: %s", machine, error)
        give_up(machine, refused_words(error), now=now, staff=True, facts=as_told(error))
        return False
    except AccountBlocked as error:
        queueing.tell_staff_of_account(machine, error, now=now)
        queueing.wait_for_account(machine, now=now)
        return False
    except CloudError as error:
        logger.warning("%s: no zones or image yet: %s", machine, error)  # still REQUESTED: asked again
        return False
    return _begin(machine, questions, image_id, now)


def _questions(now_open: list[Candidate], wanted: list[Candidate], door: Cloud) -> list[Candidate] | None:
    """To AWS, in order. Empty: only what others wait for is offered here; then it is waited for. None: nothing is."""
    found = in_zones(now_open, {c.instance_type: door.zones_offering(c.instance_type) for c in now_open})
    return found if found or any(door.zones_offering(c.instance_type) for c in wanted) else None


def _begin(machine: Instance, questions: list[Candidate] | None, image_id: str, now: datetime) -> bool:
    """True when the first question is frozen."""
    if not image_id:
        give_up(machine, _("The image of this preset is not to be had in this region."), now=now, staff=True)
    elif questions is None:
        give_up(machine, _("AWS offers this kind of machine in none of our zones."), now=now, staff=True)
    elif not questions:
        queueing.wait_behind(machine, now=now)
    else:
        return _freeze(machine, questions, now, image_id=image_id)
    return False


def _freeze(
    machine: Instance, questions: list[Candidate], now: datetime, *, refused: CloudError | None = None, **more: Any
) -> bool:
    """The next question, written down before it is asked. `refused`: what AWS said to the one before it. False when
    somebody else went on already."""
    chosen, rest = questions[0], questions[1:]
    fields: dict[str, Any] = {
        "attempt": machine.attempt + 1,
        "instance_type": chosen.instance_type,
        "zone": chosen.zone,
        "price_usd_hour": chosen.usd_hour,
        "candidates": [c.as_json() for c in rest],
        "asked_at": None,
        "calling_until": None,
        **more,
    }
    if refused is None:
        reason = _("Asking AWS for %(type)s in %(zone)s") % {"type": chosen.instance_type, "zone": chosen.zone}
        return move(machine, State.LAUNCHING, reason=reason, who=None, now=now, **fields)
    reason = none_there(refused, machine, chosen)
    with transaction.atomic():
        if not same_attempt(machine).filter(state=State.LAUNCHING).update(**fields, reason=reason):
            return False
        facts = {"attempt": machine.attempt + 1, **as_told(refused)}
        tell(machine, Kind.REFUSED, reason=reason, now=now, facts=facts)
    for name, value in fields.items():
        setattr(machine, name, value)
    return True


def _ask(machine: Instance, cloud: Cloud, clock: Callable[[], datetime]) -> bool:
    """One call. True when there is nothing more to ask now, False when the next candidate is frozen."""
    now = clock()
    try:
        spec = spec_of(machine)
    except (UserDataTooLong, WrongKey) as error:
        logger.error("%s: cannot be described to AWS: %s", machine, error)
        give_up(machine, _("This machine cannot be set up. The course staff has been told."), now=now, staff=True)
        return True
    if not still_ours(machine, clock()):
        return True  # the next round asks
    try:
        view = door_for(cloud, machine).run(spec)
    except Transient as error:
        logger.warning("%s: no clear answer to %s: %s", machine, machine.token, error)
        end_call(machine)
        return True
    except TokenMismatch as error:
        _find_mismatched(machine, cloud, error, now)
        return True
    except CloudError as error:
        if _refused(machine, cloud, error, now):
            return False
        close_if_unborn(machine, now=now)
        return True
    adopt(machine, view, cloud=cloud, now=now)
    _end_if_called_off(machine, cloud, now)
    return True


def _end_if_called_off(machine: Instance, cloud: Cloud, now: datetime) -> None:
    """Nobody wants it any more: the next round would end it, and until then it would cost."""
    if machine.state == State.STOPPING:
        stop([machine.pk], cloud=cloud, now=now)
    elif machine.state == State.TERMINATING:
        terminate([machine.pk], cloud=cloud, now=now)


def _refused(machine: Instance, cloud: Cloud, error: CloudError, now: datetime) -> bool:
    """What a definite refusal means for the row. True when another question is frozen."""
    if isinstance(error, QuotaReached):
        return _beyond_quota(machine, cloud, error, now)
    answered(machine)
    if isinstance(error, NoCapacity):
        return _next_candidate(machine, error, WaitsFor.CAPACITY, now)
    logger.error("%s: AWS refused %s: %s %s", machine, machine.token, error.code, error)
    # "OptInRequired" may be about one image's terms only; then others can be launched.
    if isinstance(error, AccountBlocked) and "arketplace" not in str(error):
        queueing.tell_staff_of_account(machine, error, now=now)
        queueing.back(machine, WaitsFor.ACCOUNT, now=now, facts=as_told(error))
    else:
        give_up(machine, refused_words(error), now=now, staff=True, facts=as_told(error))
    return False


def spec_of(machine: Instance) -> LaunchSpec:
    """The same for the same attempt, whoever asks and when. What leaves the house names nobody."""
    return LaunchSpec(
        token=machine.token,
        name=machine.slug,
        instance_type=machine.instance_type,
        zone=machine.zone,
        image_id=machine.image_id,
        disk_gb=machine.disk_gb,
        user_data=user_data(machine, Policy.of(machine.course), report_url=settings.REPORT_URL),
        tags={"course": machine.course.slug, "owner": str(machine.owner.opaque_id)},
        # No more than what is held for: the price on demand. Written in one way, whether it was just read or not.
        spot_usd_hour=f"{machine.price_usd_hour:.6f}" if machine.spot else "",
    )


def _next_candidate(machine: Instance, error: CloudError, waits_for: WaitsFor, now: datetime) -> bool:
    """True when another question is frozen; else the row is in the queue."""
    logger.info("%s: %s has none: %s", machine, machine.zone, error)
    rest = [Candidate.from_json(value) for value in machine.candidates]
    if rest:
        return _freeze(machine, rest, now, refused=error)
    with transaction.atomic():
        said = none_there(error, machine, None)
        tell(machine, Kind.REFUSED, reason=said, now=now, facts=as_told(error))
        queueing.back(machine, waits_for, now=now)
    return False


def _beyond_quota(machine: Instance, cloud: Cloud, error: CloudError, now: datetime) -> bool:
    """Other zones do not help, and no other type that counts in the same quota does."""
    full = quota_of(machine.instance_type, spot=machine.spot)
    machine.candidates = [value for value in machine.candidates if quota_of(value[0], spot=machine.spot) != full]
    if not machine.candidates:
        queueing.tell_staff_of_quota(machine, door_for(cloud, machine), error, now=now)
    answered(machine)  # not before: while AWS is asked for the quota, nobody else asks for this machine
    return _next_candidate(machine, error, WaitsFor.QUOTA, now)


def _find_mismatched(machine: Instance, cloud: Cloud, error: CloudError, now: datetime) -> None:
    """AWS knows this token with other fields: it is our machine, and a bug of ours. Never a second machine."""
    logger.error("%s: token %s was used with other parameters: %s", machine, machine.token, error)
    reason = _("AWS knows the token %(token)s with other parameters") % {"token": machine.token}
    tell(machine, Kind.TROUBLE, reason=reason, now=now, mail_to=staff_address(machine.course))
    view = door_for(cloud, machine).find_by_token(machine.token)
    if view:
        adopt(machine, view, cloud=cloud, now=now)


def image_of(preset: Preset, cloud: Cloud) -> str:
    """The image to launch from in this region; "" when none of those that the preset names is there."""
    if named := preset.image_in(cloud.catalog.region):
        return named
    found = (cloud.catalog.image_named(parameter) for parameter in preset.image_parameters)
    return next((image for image in found if image), "")


def adopt(machine: Instance, view: MachineView, *, cloud: Cloud, now: datetime) -> None:
    """Write down which machine AWS gave us, and have AWS itself stop it at the end of its lease."""
    lease_until = books.lease_end(machine, view.launched_at)
    waiting = (State.LAUNCHING, State.STOPPING, State.TERMINATING)
    with transaction.atomic():
        taken = (
            same_attempt(machine)
            .filter(cloud_id="", state__in=waiting)
            .update(
                cloud_id=view.cloud_id,
                private_ip=view.private_ip,
                cloud_type=view.instance_type,
                spot_request=view.spot_request,
                disk_since=view.launched_at,
                lease_until=lease_until,
                calling_until=None,
                absent_since=None,
            )
        )
        if taken:
            queueing.served(machine, now=now)
            machine.refresh_from_db()
            if machine.given_up:
                delete_unwanted(machine, now=now)
    if not taken:
        _drop_double(machine, view, cloud)
        return
    guard.arm(machine, cloud=cloud, now=now)


def _drop_double(machine: Instance, view: MachineView, cloud: Cloud) -> None:
    """The row went on without this answer. If that machine is not the row's, nobody has ever used it."""
    machine.refresh_from_db(fields=("cloud_id", "state"))
    if machine.cloud_id == view.cloud_id:
        return
    logger.error("%s: %s came too late for its row and is ended", machine, view.cloud_id)
    door = door_for(cloud, machine)
    if not end_requests([view.spot_request], door):  # else the round of strays says both again
        door.terminate([view.cloud_id])


def give_up(
    machine: Instance,
    reason: str,
    *,
    now: datetime,
    staff: bool = False,
    mail: bool = False,
    facts: dict[str, Any] | None = None,
) -> bool:
    """No machine, nothing charged: FAILED, and both holds are freed."""
    with transaction.atomic():
        told: dict[str, Any] = {"reason": reason, "facts": facts, "now": now}
        if not move(machine, State.FAILED, who=None, mail=mail, calling_until=None, **told):
            return False
        books.drop_holds(machine, now=now)
        if staff:
            to = staff_address(machine.course)
            tell(machine, Kind.TROUBLE, mail_to=to, **told)
    return True
