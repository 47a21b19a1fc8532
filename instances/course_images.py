"""A staff machine becomes the course's image: saved, tried out on one machine, made the default, deleted."""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from cloud.base import AccountBlocked, Cloud, CloudError, NotFound, Transient
from cloud.disks import ImageView
from courses.models import STAFF_ROLES, Course, Enrollment, User
from instances import disk_books
from instances.closing_records import Closing
from instances.disk_rules import IN_MOTION, VISIBLE_SECONDS, Standing
from instances.models import CourseImage, Instance, Preset
from instances.presets import change_preset
from instances.refusals import LaunchRefused
from instances.requesting import request_launch
from instances.states import State

logger = logging.getLogger(__name__)


@transaction.atomic
def request_image(instance: Instance, title: str, *, who: User, now: datetime) -> CourseImage:
    """Of a stopped machine of somebody of the staff: a student's disk is the student's. Raises LaunchRefused."""
    rows = Instance.objects.select_for_update(no_key=True, of=("self",)).select_related("owner", "course")
    machine = rows.get(pk=instance.pk)
    if machine.owner.role not in STAFF_ROLES:
        raise LaunchRefused(_("Only a machine of the course staff can become the course's image."))
    if machine.account_id is not None:
        raise LaunchRefused(
            _("This machine runs in another AWS account; the course's image must lie in the course's own.")
        )
    if machine.state != State.STOPPED:
        raise LaunchRefused(_("Stop the machine first: an image shows the disk at rest."))
    return CourseImage.objects.create(
        course=machine.course,
        title=title,
        instance=machine,
        made_by=who,
        wanted_at=now,
        size_gb=machine.disk_gb,
        usd_hour=disk_books.snapshot_usd_hour(machine.disk_gb),
    )


def try_out(image: CourseImage, owner: Enrollment, preset: Preset, *, who: User, now: datetime) -> Instance:
    """One machine of a preset from this image; nobody else's is. Raises LaunchRefused or BudgetRefused."""
    if image.standing != Standing.KEPT:
        raise LaunchRefused(_("This image is not ready."))
    if image.size_gb > preset.disk_gb:
        values = {"image": image.size_gb, "preset": preset.disk_gb}
        raise LaunchRefused(_("The image needs a disk of %(image)s GB; this preset has %(preset)s.") % values)
    with transaction.atomic():
        machine = request_launch(owner, preset, who=who, now=now)
        Instance.objects.filter(pk=machine.pk).update(image_id=image.image_id)
        _lock_kept(image)
        CourseImage.objects.filter(pk=image.pk).update(tried_at=now)
    machine.image_id = image.image_id
    return machine


@transaction.atomic
def make_default(image: CourseImage, presets: Iterable[Preset], *, who: User, now: datetime) -> int:
    """For launches from now on; machines that there are keep what they run from. Returns how many of the presets
    launch from it now. Raises LaunchRefused."""
    rows = Preset.objects.select_for_update(of=("self",)).filter(pk__in=[preset.pk for preset in presets])
    fitting = list(rows.filter(disk_gb__gte=image.size_gb))
    for preset in fitting:
        change_preset(preset, _naming(image, preset), who=who, now=now)
    _lock_kept(image)
    return len(fitting)


def _naming(image: CourseImage, preset: Preset) -> dict[str, Any]:
    """In both places that launches here look at: in one alone, what stands in the other would go before it, or would
    keep an image that nothing launches from. What other regions launch from is theirs."""
    here = {settings.AWS_REGION: image.image_id} if settings.AWS_REGION in preset.images else {}
    return {"image_id": image.image_id, "images": {**preset.images, **here}}


def hand_on_or_delete(image: CourseImage) -> None:
    """At the end of its course: to the next term that launches from it, or deleted. Under the caller's transaction;
    nothing while a machine is about to begin with it, wherever that is: the closing comes again."""
    _locked(image)
    kept = CourseImage.objects.filter(pk=image.pk, standing=Standing.KEPT)
    heir = heir_of(image)
    if heir:
        if _stays_open(heir):
            kept.update(course=heir)
    elif not uses([image])[image.pk].launches:
        kept.update(standing=Standing.DELETING)


def _stays_open(heir: Course) -> bool:
    """To the end of this transaction: a closing that is just being finished would never come back to the image. Whoever
    holds it may wait for ours, so nobody waits for it here."""
    closings = Closing.objects.filter(course=heir, called_off_at=None)
    if not closings.exists():
        return True  # one is announced days before it begins
    return closings.select_for_update(no_key=True, skip_locked=True).filter(finished_at=None).exists()


@transaction.atomic
def request_delete(image: CourseImage) -> None:
    """Raises LaunchRefused while a preset names it, or a machine is about to begin with it."""
    _locked(image)
    use = uses([image])[image.pk]
    if names := [*use.default_of, *use.named_by]:
        words = _("It is named by %(names)s. Make another image the default first, or name another in these presets.")
        raise LaunchRefused(words % {"names": ", ".join(names)})
    if use.launches:
        words = ngettext(
            "One machine that is about to start begins with it. Delete it when that one runs, or is called off.",
            "%(n)s machines that are about to start begin with it. Delete it when they run, or are called off.",
            use.launches,
        )
        raise LaunchRefused(words % {"n": use.launches})
    CourseImage.objects.filter(pk=image.pk, standing=Standing.KEPT).update(standing=Standing.DELETING)


def _locked(image: CourseImage) -> CourseImage:
    """Whoever deletes it waits for who gives it a use, and the other way round. After presets and machines, as in the
    closing's round."""
    return CourseImage.objects.select_for_update(no_key=True).get(pk=image.pk)


def _lock_kept(image: CourseImage) -> None:
    """The page may be older than a click on "delete". Raises LaunchRefused."""
    if _locked(image).standing != Standing.KEPT:
        raise LaunchRefused(_("This image is not ready."))


class Use(NamedTuple):
    """Why an image must stay."""

    default_of: list[str]  # presets whose launches begin with it
    named_by: list[str]  # presets that name it, too, but have a line for this region that goes before it
    launches: int  # machines that are to begin with it, and that AWS has not given yet

    @property
    def any(self) -> bool:
        return bool(self.default_of or self.named_by or self.launches)


def uses(images: Iterable[CourseImage]) -> dict[int, Use]:
    """By the image's key. Of all courses: presets are copied to the next term with the images that they name."""
    shown = list(images)
    ids = [one.image_id for one in shown if one.image_id]
    naming = list(Preset.objects.filter(Q(image_id__in=ids) | ~Q(images={})).select_related("course"))
    asked = Instance.objects.filter(state__in=(State.REQUESTED, State.LAUNCHING), cloud_id="", image_id__in=ids)
    launches = dict(asked.order_by().values_list("image_id").annotate(Count("pk")))
    return {one.pk: _use(one, naming, launches.get(one.image_id, 0)) for one in shown}


def _use(image: CourseImage, naming: Iterable[Preset], launches: int) -> Use:
    """An image is there in this region alone: what a preset names for others is no use of it."""
    default_of, named_by = [], []
    for preset in naming if image.image_id else ():  # not made yet, it has no id; nor has a preset with a parameter
        name = f"“{preset.name}”" if preset.course_id == image.course_id else f"“{preset.name}” ({preset.course})"
        if preset.image_in(settings.AWS_REGION) == image.image_id:
            default_of.append(name)
        elif preset.image_id == image.image_id:
            named_by.append(name)
    return Use(default_of, named_by, launches)


def heir_of(image: CourseImage) -> Course | None:
    """The newest other course whose presets name it, copied from here: it needs the image when this one is closed. Also
    one that is to be closed itself: people launch until then, and its closing hands the image on or deletes it."""
    closed = Closing.objects.filter(finished_at__isnull=False).values("course")
    presets = Preset.objects.exclude(course=image.course).exclude(course__in=closed)
    named = presets.filter(Q(image_id=image.image_id) | Q(**{f"images__{settings.AWS_REGION}": image.image_id}))
    newest = named.select_related("course").order_by("-course__starts_on", "-course__pk").first()
    return newest.course if newest and image.image_id else None


# ------------------------------------------------------------------ calls, and the round that finishes them
def images(cloud: Cloud, now: datetime) -> int:
    """Nothing is asked while nothing is in motion."""
    rows = list(CourseImage.objects.filter(standing__in=IN_MOTION).select_related("instance"))
    for row in rows:
        try:
            _mend(row, cloud, now)
        except (Transient, AccountBlocked) as error:  # the latter is about the account, not about this image
            logger.warning("%s: not done yet: %s", row.slug, error)
        except CloudError as error:
            logger.error("%s: AWS refused: %s", row.slug, error)
    return len(rows)


def _mend(row: CourseImage, cloud: Cloud, now: datetime) -> None:
    if row.standing == Standing.WANTED:
        _ask(row, cloud)
    elif row.standing == Standing.PENDING:
        _look(row, cloud, now)
    elif row.standing == Standing.DELETING and _is_deleted(row, cloud):
        _set(row, Standing.DELETED)


def _ask(row: CourseImage, cloud: Cloud) -> None:
    try:
        image_id = cloud.disks.save_image(row.instance.cloud_id, name=row.cloud_name)
    except (Transient, AccountBlocked):
        raise
    except CloudError as error:
        # It may have been made by an asking whose answer was lost: of a machine that is gone since, AWS says just that.
        image_id = {one.name: one.image_id for one in cloud.disks.images()}.get(row.cloud_name, "")
        if not image_id:
            logger.error("%s: AWS refused: %s", row.slug, error)
            _set(row, Standing.FAILED, reason=str(error)[:300])
            return
    _set(row, Standing.PENDING, image_id=image_id)


def _look(row: CourseImage, cloud: Cloud, now: datetime) -> None:
    """It has failed when AWS says so of itself, and not when a look does: what AWS makes all the same would be charged
    and never deleted, and the closing would say that nothing is left."""
    found = {one.image_id: one for one in cloud.disks.images()}.get(row.image_id) or _missed(row, cloud, now)
    if found and (row.absent_since or row.snapshot_ids != list(found.snapshot_ids)):
        row.snapshot_ids = list(found.snapshot_ids)  # they outlast it, whatever becomes of it
        _set(row, Standing.PENDING, absent_since=None, snapshot_ids=row.snapshot_ids)
    if found and found.failed:
        _fail(row, cloud, _("AWS could not make it."))
    elif found and found.available:
        _set(row, Standing.KEPT, snapshot_ids=list(found.snapshot_ids), size_gb=found.disk_gb or row.size_gb)


def _missed(row: CourseImage, cloud: Cloud, now: datetime) -> ImageView | None:
    """A look may miss a new image, or one whose tag was taken off. What looks have missed for minutes is asked for by
    its id; it has failed only when AWS does not know that."""
    if row.absent_since is None:
        _set(row, Standing.PENDING, absent_since=now)
        return None
    if now - row.absent_since < timedelta(seconds=VISIBLE_SECONDS):
        return None
    found = cloud.disks.image(row.image_id)
    if found is None:
        words = _("AWS does not know this image any more: somebody deleted it there before it was complete.")
        _fail(row, cloud, words)
    return found


def _fail(row: CourseImage, cloud: Cloud, reason: str) -> None:
    """Only once nothing of it is left at AWS: a failed row is not looked at again, and would be paid for."""
    if _is_deleted(row, cloud):
        _set(row, Standing.FAILED, reason=reason)


def _is_deleted(row: CourseImage, cloud: Cloud) -> bool:
    """The image first: AWS keeps what one begins with."""
    cloud.disks.delete_image(row.image_id)
    outcomes = cloud.disks.delete_snapshots(row.snapshot_ids)
    return all(one.error is None or isinstance(one.error, NotFound) for one in outcomes)


def _set(row: CourseImage, standing: Standing, **values: object) -> None:
    CourseImage.objects.filter(pk=row.pk, standing=row.standing).update(standing=standing, **values)
