"""The queue's door: what is asked for by a click, and the rounds of the beat. A lost message costs one round."""

import logging

from celery import shared_task
from django.utils import timezone
from kombu.exceptions import OperationalError

from cloud.backends import cloud, files, loads
from cloud.base import CloudError
from instances import (
    account_checks,
    course_images,
    following,
    home_calls,
    preflight,
    preset_checks,
    restarting,
    services,
    snapshots,
    sweeps,
)
from instances.models import CloudAccount, Preset

logger = logging.getLogger(__name__)


@shared_task
def launch(instance_id: int) -> None:
    services.launch(instance_id, cloud=cloud(), now=timezone.now())
    _follow_soon()


@shared_task
def start(instance_id: int) -> None:
    services.start(instance_id, cloud=cloud(), now=timezone.now())
    _follow_soon()


@shared_task
def follow() -> None:
    """Looks every second while somebody waits; a hundred who wait share each look."""
    if not following.take_step(timezone.now()):
        return
    try:
        goes_on = following.follow(cloud(), timezone.now())
    finally:
        following.end_step(timezone.now())
    if goes_on:
        _follow_soon()


def _follow_soon() -> None:
    try:
        follow.apply_async(countdown=following.STEP_SECONDS, expires=60)
    except (OperationalError, OSError):
        logger.exception("broker unreachable: who waits is left to the beat")


@shared_task
def stop(instance_ids: list[int]) -> None:
    services.stop(instance_ids, cloud=cloud(), now=timezone.now())


@shared_task
def terminate(instance_ids: list[int]) -> None:
    services.terminate(instance_ids, cloud=cloud(), now=timezone.now())


@shared_task
def sweep_repair() -> None:
    sweeps.repair(cloud(), timezone.now())
    _follow_soon()  # a chain that died goes on; where nobody waits, it ends at its first step


@shared_task
def sweep_meter() -> None:
    sweeps.meter(timezone.now())


@shared_task
def sweep_look() -> None:
    sweeps.look(loads(), timezone.now())


@shared_task
def sweep_idle() -> None:
    sweeps.idle(cloud(), timezone.now())


@shared_task
def sweep_lease() -> None:
    sweeps.lease(cloud(), timezone.now())


@shared_task
def restart(instance_id: int) -> None:
    restarting.restart([instance_id], cloud=cloud(), now=timezone.now())


@shared_task
def take_snapshot(snapshot_id: int) -> None:
    snapshots.take(snapshot_id, cloud=cloud(), now=timezone.now())


@shared_task
def delete_snapshot(snapshot_id: int) -> None:
    snapshots.delete(snapshot_id, cloud=cloud(), now=timezone.now())


@shared_task
def sweep_disks() -> None:
    sweeps.disks(cloud(), timezone.now())


@shared_task
def sweep_drills() -> None:
    sweeps.drills(cloud(), timezone.now())
    _follow_soon()


@shared_task
def sweep_images() -> None:
    course_images.images(cloud(), timezone.now())


@shared_task
def sweep_spot() -> None:
    sweeps.spot(cloud(), timezone.now())


@shared_task
def sweep_queue() -> None:
    sweeps.queue(cloud(), timezone.now())
    _follow_soon()


@shared_task
def sweep_offers() -> None:
    sweeps.offers(cloud(), timezone.now())


@shared_task
def check_preset(preset_id: int) -> None:
    preset_checks.check(Preset.objects.get(pk=preset_id), cloud=cloud(), now=timezone.now())


@shared_task
def send_quota_ask(ask_id: int) -> None:
    preflight.send(ask_id, cloud=cloud(), now=timezone.now())


@shared_task
def sweep_accounts() -> None:
    sweeps.accounts(cloud(), timezone.now())


@shared_task
def check_account(account_id: int) -> None:
    account = CloudAccount.objects.get(pk=account_id)
    account_checks.attend(account, cloud=cloud(), now=timezone.now())


@shared_task
def write_off_account(account_id: int) -> None:
    account = CloudAccount.objects.select_related("course", "lost_by").get(pk=account_id)
    sweeps.write_off(account, timezone.now())


@shared_task
def sweep_notices() -> None:
    sweeps.notices(timezone.now())


@shared_task
def sweep_counting() -> None:
    sweeps.counting(timezone.now())


@shared_task
def sweep_alerts() -> None:
    sweeps.alerts(timezone.now())


@shared_task
def sweep_halts() -> None:
    sweeps.halts(cloud(), timezone.now())


@shared_task
def home_step(home_id: int) -> None:
    bucket = files()
    if bucket is None:
        return
    try:
        home_calls.take_step(home_id, files=bucket, now=timezone.now())
    except CloudError as error:
        logger.warning("files %s: left to the next round: %s", home_id, error)


@shared_task
def sweep_homes() -> None:
    sweeps.homes(files(), timezone.now())


@shared_task
def sweep_closings() -> None:
    sweeps.closings(cloud(), timezone.now())
