"""One of each thing that an address may name, and the functions that name it; rows that they make are undone again."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone

from courses.invitations import TeamInvitation
from courses.models import Enrollment, Team
from credits import drafts
from instances.halts import Halt
from instances.models import (
    CloudAccount,
    CourseImage,
    DiskSnapshot,
    FireDrill,
    HomeArchive,
    Instance,
    LaunchApproval,
    Preset,
    SshKey,
)
from spend.models import Alarm, Budget, BudgetRelease, ChatChannel, Drift
from tests.conftest import Cast
from tests.pages.credits.conftest import Shop


@dataclass(frozen=True)
class World:
    """One of each thing, all of the course `dl19` and as far as they belong to somebody, of `student`."""

    cast: Cast
    shop: Shop
    machine: Instance


Ids = Callable[[World], list[object]]


def none(_world: World) -> list[object]:
    return []


class names:
    """Arguments that are words, and no rows of one course."""

    def __init__(self, *words: object) -> None:
        self.words = words

    def __call__(self, _world: World) -> list[object]:
        return list(self.words)


def machine(w: World) -> list[object]:
    return [w.machine.slug]


def copy(w: World) -> list[object]:
    given = {"instance": w.machine, "owner": w.machine.owner, "course": w.machine.course, "size_gb": 64, "usd_hour": 0}
    made = DiskSnapshot.objects.get_or_create(**given, defaults={"wanted_at": timezone.now(), "standing": "kept"})
    return [made[0].pk]


def home(w: World) -> list[object]:
    given = {"instance": w.machine, "owner": w.machine.owner, "course": w.machine.course, "part_bytes": 1}
    return [w.machine.slug, HomeArchive.objects.create(**given, asked_at=timezone.now()).pk]


def image(w: World) -> list[object]:
    given = {"course": w.machine.course, "instance": w.machine, "title": "Spring", "size_gb": 64, "usd_hour": 0}
    made = CourseImage.objects.get_or_create(**given, defaults={"wanted_at": timezone.now(), "standing": "kept"})
    return [made[0].pk]


def account(w: World) -> list[object]:
    given = {"course": w.cast.course, "account_id": "210987654321", "name": "Theirs"}
    return [CloudAccount.objects.get_or_create(**given, defaults={"added_at": timezone.now()})[0].pk]


def homework(w: World) -> list[object]:
    given = {"preset": w.machine.preset, "title": "Homework 1", "repo": "https://git.demo.edu/hw1"}
    return [w.cast.course.homeworks.get_or_create(**given, defaults={"added_at": timezone.now()})[0].pk]


def source(w: World) -> list[object]:
    given = {"address": "https://git.demo.edu"}
    return [w.cast.course.homework_sources.get_or_create(**given, defaults={"added_at": timezone.now()})[0].pk]


def code(w: World) -> list[object]:
    return [w.shop.code.pk]


def batch(w: World) -> list[object]:
    return [w.shop.batch.pk]


def contest(w: World) -> list[object]:
    return [w.shop.contest.pk]


def redemption(w: World) -> list[object]:
    return [w.shop.redemption.pk]


def draft(w: World) -> list[object]:
    return [w.shop.draft.pk]


def student(w: World) -> list[object]:
    return [w.cast.student.pk]


def team(w: World) -> list[object]:
    return [w.cast.team.pk]


def invitation(w: World) -> list[object]:
    """To `student`, from a team of their own."""
    other = Team.objects.get_or_create(course=w.cast.course, name="Team 2")[0]
    return [_invitation(w, other, w.cast.student)]


def own_invitation(w: World) -> list[object]:
    """From `student`'s team; the other student is in none."""
    w.cast.other_student.team = None
    w.cast.other_student.save()
    return [_invitation(w, w.cast.team, w.cast.other_student)]


def _invitation(w: World, team_: Team, invited: Enrollment) -> int:
    facts = {"by": w.cast.student, "at": timezone.now()}
    return TeamInvitation.objects.get_or_create(team=team_, invited=invited, defaults=facts)[0].pk


def roster_draft(w: World) -> list[object]:
    list_ = b"name,email\nCy,cy@demo.edu\n"
    assert w.cast.ta.user
    return [drafts.keep(w.cast.course, list_, who=w.cast.ta.user, now=timezone.now(), kind="roster").pk]


def allowed_preset(w: World) -> list[object]:
    Preset.objects.filter(course=w.machine.course, slug="homework").update(needs_approval=True)
    return ["homework"]


def approval(w: World) -> list[object]:
    made = LaunchApproval.objects.get_or_create(
        enrollment=w.machine.owner, preset=w.machine.preset, defaults={"why": "a demo", "at": timezone.now()}
    )
    return [made[0].pk]


def release(w: World) -> list[object]:
    now = timezone.now()
    facts = {"amount_usd": 1, "release_at": now + timedelta(days=1), "why": "x", "created_at": now}
    return [BudgetRelease.objects.create(budget=w.cast.student.budget, **facts).together]


def grant(w: World) -> list[object]:
    """Pays for this course alone, so that its instructor may change it, too."""
    made = Budget.objects.create(level="1-sponsor", name="AWS", amount_usd=9_000)
    Budget.objects.filter(course=w.cast.course, level="2-course").update(parent=made)
    return [made.pk]


def drift(w: World) -> list[object]:
    facts = {"source": "export", "machine": "", "kind": "disk", "cause": "untagged", "as_of": timezone.now()}
    return [Drift.objects.get_or_create(course=w.cast.course, day=timezone.now().date(), defaults=facts)[0].pk]


def alarm(w: World) -> list[object]:
    row = Alarm.objects.filter(course=w.cast.course).first() or Alarm.objects.create(
        course=w.cast.course, kind="pace", key="x", title="x", text="x", raised_at=timezone.now()
    )
    return [row.pk]


def chat_room(w: World) -> list[object]:
    """Its address is sealed with another key: no message leaves the test."""
    facts = {"name": "x", "service": "Slack", "sealed_url": "x", "created_at": timezone.now()}
    return [ChatChannel.objects.create(course=w.cast.course, **facts).pk]


def course_halt(w: World) -> list[object]:
    facts = {"reach": "all", "why": "x", "at": timezone.now()}
    return [Halt.objects.get_or_create(course=w.cast.course, lifted_at=None, defaults=facts)[0].pk]


def drill(w: World) -> list[object]:
    facts = {"course": w.cast.course, "at": timezone.now(), "most_usd": 1}
    return [FireDrill.objects.get_or_create(instance=w.machine, defaults=facts)[0].pk]


def ssh_key(w: World) -> list[object]:
    facts = {"public_key": "ssh-ed25519 AAAA", "added_at": timezone.now()}
    return [SshKey.objects.get_or_create(user=w.cast.student.user, fingerprint="SHA256:x", defaults=facts)[0].pk]


def halt_all(w: World) -> list[object]:
    facts = {"reach": "all", "why": "x", "at": timezone.now()}
    return [Halt.objects.get_or_create(course=None, lifted_at=None, defaults=facts)[0].pk]
