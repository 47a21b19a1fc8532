"""Who may reach which machine by SSH, and what a person is told when not. The endpoint and the pages ask here."""

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from courses.audit import Kind, note
from courses.models import Course, EnrollmentStatus, User
from instances.models import CourseSsh, Instance, SshKey
from instances.ssh_keys import BadKey, parse
from instances.states import State

KEYS_MOST = 10  # of one person
LOGIN = "ubuntu"  # the user of a machine


class KeyRefused(Exception):
    """The message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Line:
    """What a page shows for one machine."""

    command: str
    has_key: bool


def is_on(course: Course) -> bool:
    """Without an address to type, nobody gets anywhere: then it is off, whatever staff said."""
    return bool(settings.SSH_ADDRESS) and CourseSsh.objects.filter(course=course, on=True).exists()


def is_on_for(user: User) -> bool:
    mine = CourseSsh.objects.filter(course__enrollments__user=user, on=True)
    return bool(settings.SSH_ADDRESS) and mine.filter(course__enrollments__status=EnrollmentStatus.ACTIVE).exists()


def switch(course: Course, on: bool, *, who: User, address: str | None, now: datetime) -> None:
    """Off ends what is open within seconds."""
    with transaction.atomic():
        CourseSsh.objects.update_or_create(course=course, defaults={"on": on, "who": who, "at": now})
        what = "ssh_on" if on else "ssh_off"
        note(what, kind=Kind.DECISION, who=who, course=course, address=address, now=now)


def line_for(machine: Instance) -> Line | None:
    """What its owner copies; None where SSH is off."""
    if not is_on(machine.course):
        return None
    has_key = SshKey.objects.filter(user=machine.owner.user).exists()
    return Line(f"ssh -J {machine.slug}@{settings.SSH_ADDRESS} {LOGIN}@{machine.slug}", has_key)


# ------------------------------------------------------------------ keys
def add_key(user: User, text: str, *, address: str | None, now: datetime) -> SshKey:
    """Raises KeyRefused."""
    try:
        parsed = parse(text)
    except BadKey as error:
        raise KeyRefused(_words(str(error.args[0]))) from error
    try:
        with transaction.atomic():
            _refuse_if_signed_out(user)
            if user.ssh_keys.count() >= KEYS_MOST:
                raise KeyRefused(_("You have %(n)s keys already. Remove one first.") % {"n": KEYS_MOST})
            key = SshKey.objects.create(
                user=user,
                name=parsed.name,
                public_key=parsed.public_key,
                fingerprint=parsed.fingerprint,
                added_at=now,
            )
            facts = {"key": key.fingerprint}
            note("ssh_key_added", kind=Kind.SIGN_IN, who=user, address=address, now=now, facts=facts)
    except IntegrityError as error:
        raise KeyRefused(_("You have added this key already.")) from error
    return key


def _refuse_if_signed_out(user: User) -> None:
    """Under the lock of the person, whose password signing out everywhere changes before it takes their keys.

    A script in a browser left signed in could have a request on its way at every moment: let in before, it would add a
    key after, which no signing out would take.
    """
    if User.objects.select_for_update(no_key=True).get(pk=user.pk).password != user.password:
        raise KeyRefused(_("You have signed out everywhere meanwhile. Sign in again, then add the key."))


def remove_keys(user: User, keys: "list[SshKey]", *, address: str | None, now: datetime) -> None:
    """What is open by them ends within seconds; the machines forget them with their next report."""
    for key in keys:
        with transaction.atomic():
            SshKey.objects.filter(pk=key.pk, user=user).delete()
            facts = {"key": key.fingerprint}
            note("ssh_key_removed", kind=Kind.SIGN_IN, who=user, address=address, now=now, facts=facts)


def keys_for(machine: Instance) -> list[str]:
    """For the machine's own list: of its owner, while they are in the course."""
    owner = machine.owner
    if owner.status != EnrollmentStatus.ACTIVE or owner.user_id is None:
        return []
    return list(SshKey.objects.filter(user=owner.user_id).values_list("public_key", flat=True))


def _words(why: str) -> str:
    return {
        "private": _("This is the private half. Keep it to yourself; paste the file that ends in .pub."),
        "lines": _("Paste one key: the one line of the file that ends in .pub."),
        "kind": _("A key begins with ssh-ed25519, ecdsa-sha2-… or ssh-rsa. Make one with: ssh-keygen -t ed25519"),
        "broken": _("This key is not whole. Copy the file that ends in .pub again."),
        "short": _("RSA keys need 3072 bits or more. Make another one with: ssh-keygen -t ed25519"),
    }[why]


# ------------------------------------------------------------------ doors
def refusal(machine: Instance) -> str:
    """Why nobody can be passed on to it now, and what to do; empty when they can."""
    page = f"{settings.PORTAL_URL}/machines/{machine.slug}/"
    if machine.state == State.RUNNING:
        # As for the notebook: whoever is in has root, and may take all other guards out.
        return "" if machine.guard_until else _("This machine is still starting. Try again in a minute.")
    if machine.state in (State.REQUESTED, State.LAUNCHING):
        return _("This machine is still starting. Try again in a minute.")
    if machine.state in (State.STOPPING, State.STOPPED):
        return _("This machine is stopped. Start it: %(page)s") % {"page": page}
    return _("This machine does not exist any more: %(page)s") % {"page": page}
