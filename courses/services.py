"""Verbs on people and roster lines."""

from allauth.account.models import EmailAddress
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from courses.entry import may_enter
from courses.models import Enrollment, User


def is_on_a_roster(address: str, user: User | None) -> bool:
    """Whether a line that lets one enter names this address, or is this person's (whose address may have changed)."""
    whose = Q(email__iexact=address)
    if user is not None and user.pk:
        whose |= Q(user=user)
    return Enrollment.objects.filter(whose, may_enter(timezone.now())).exists() or _is_operator(address, user)


def _is_operator(address: str, user: User | None) -> bool:
    """Whoever runs the installation comes in before there is any course (`manage.py make_operator`)."""
    whose = Q(email__iexact=address)
    if user is not None and user.pk:
        whose |= Q(pk=user.pk)
    return User.objects.filter(whose, is_operator=True, is_active=True).exists()


def person_for_code(address: str) -> User | None:
    """Whom a code sent to this address lets in; made when a roster names it and nobody is behind it yet.

    None for everybody else. The address is proved by the code, not here.
    """
    found = User.objects.filter(email__iexact=address).first()
    if (
        found is None
        and Enrollment.objects.filter(may_enter(timezone.now()), email__iexact=address, user=None).exists()
    ):
        try:
            with transaction.atomic():
                found = User.objects.create_user(address)
                EmailAddress.objects.create(user=found, email=address, verified=False, primary=True)
        except IntegrityError:  # asked for twice at the same moment
            found = User.objects.filter(email__iexact=address).first()
    return found if found and found.is_active and is_on_a_roster(address, found) else None


@transaction.atomic
def link_person(user: User) -> int:
    """Gives the person the roster lines that carry their address; returns how many were new.

    Said at every sign-in, because rosters grow during the term. Lines of dropped and waitlisted people are linked
    too, whether or not they open a door (see `entry.py`), so that a later return needs no new sign-in. A line that
    already has a person keeps them: an address may be given to somebody new, a past may not.
    """
    theirs = Enrollment.objects.filter(user=user)
    return (
        Enrollment.objects.filter(email__iexact=user.email, user=None)
        .exclude(course__in=theirs.values("course"))  # two lines in one course, of an old and a new address
        .update(user=user)
    )


@transaction.atomic
def release_address(address: str) -> bool:
    """Frees an address that its university has given to somebody new; False when nobody here has it.

    The earlier person keeps their past (roster lines, codes, machines) and stays known to the provider by its own id;
    only the address no longer leads to them. The newcomer begins with the lines that have no person yet.
    """
    user = User.objects.select_for_update().filter(email__iexact=address).first()
    if user is None:
        return False
    EmailAddress.objects.filter(user=user).delete()
    user.email = f"released-{user.pk}@invalid"
    user.save(update_fields=["email"])
    return True
