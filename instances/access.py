"""Whose machine is it? The only place that turns a person and a slug into a machine. A stranger gets 404."""

from django.db.models import Q, QuerySet
from django.http import Http404

from courses import second_factor
from courses.access import enrollments_of
from courses.models import STAFF_ROLES, EnrollmentStatus, User
from instances.home_records import HomeArchive
from instances.models import Instance


def _whole(machines: QuerySet[Instance]) -> QuerySet[Instance]:
    return machines.select_related(
        "owner__user", "owner__team", "owner__limits", "course__machine_policy", "preset", "tunnel"
    )


def machine_of(user: User, slug: str) -> Instance:
    """The person's own machine, or one of a course where the person is staff. Raises Http404."""
    mine = enrollments_of(user).filter(status=EnrollmentStatus.ACTIVE).order_by()
    staffed = mine.filter(role__in=STAFF_ROLES).values("course")
    found = _whole(Instance.objects.filter(Q(owner__in=mine) | Q(course__in=staffed), slug=slug)).first()
    if found is None:
        raise Http404
    if found.owner.user_id != user.pk:
        second_factor.require(user)
    return found


def own_machine_of(user: User, slug: str) -> Instance:
    """As `machine_of`, for its owner only: staff may look at a machine and stop it, not spend on it. Raises Http404."""
    mine = enrollments_of(user).filter(status=EnrollmentStatus.ACTIVE).order_by()
    found = _whole(Instance.objects.filter(owner__in=mine, slug=slug)).first()
    if found is None:
        raise Http404
    return found


def own_homes(user: User) -> QuerySet[HomeArchive]:
    mine = HomeArchive.objects.filter(owner__user=user, owner__forgotten_at=None)
    return mine.select_related("instance", "owner", "course")


def own_home_of(user: User, slug: str, home_id: int) -> HomeArchive:
    """The packed files of the person's own machine; nobody else's business, staff included. Raises Http404.

    Also when the course lets them in no more: they were promised for so many days, the machine gone or not.
    """
    found = own_homes(user).filter(instance__slug=slug, pk=home_id).first()
    if found is None:
        raise Http404
    return found
