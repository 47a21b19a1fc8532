"""Pages of codes ask the database the same number of questions for 3 people and for 60, with all that they do."""

from datetime import timedelta
from decimal import Decimal

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from courses.models import Enrollment, Role, Team, User
from credits import contests, drafts
from credits.failures import report_failed
from credits.models import CodeEvent, CodeWait, CreditCode
from credits.ranking import Ranked
from credits.stock import add_codes
from spend.opening import open_budgets
from tests.conftest import Cast
from tests.pages.conftest import signed_in
from tests.pages.credits.conftest import Shop, asked, claimed

# What each page may ask at most, the session and the masthead in it: a number that grows is a decision.
MOST = {
    "credits_desk": 13,
    "credits_batch": 15,
    "credits_code": 10,
    "credits_reports": 11,
    "credits_requests": 15,
    "credits_contests": 7,
    "credits_contest": 12,
    "credits_account": 7,
    "credits_account_live": 5,
    "credits_causes": 8,
    "credits_import": 5,
    "credits_import_map": 8,
    "ask_more": 5,
    "code_help": 7,
    "course_home": 22,
}
OF_STUDENT = {"ask_more", "code_help", "course_home"}


def asked_by(name: str, shop: Shop, cast: Cast) -> int:
    ids = {
        "credits_batch": [shop.batch.pk],
        "credits_code": [shop.code.pk],
        "credits_contest": [shop.contest.pk],
        "credits_import_map": [shop.draft.pk],
        "code_help": [shop.code.pk],
    }
    client = signed_in((cast.student if name in OF_STUDENT else cast.ta).user)
    with CaptureQueriesContext(connection) as found:
        answer = client.get(reverse(name, args=["dl19", *ids.get(name, [])]))
    assert answer.status_code == 200
    return len(found)


def crowd(shop: Shop, cast: Cast) -> None:
    """57 more people who claim, fail, ask, wait and win; and a long history of one code."""
    course, now = cast.course, timezone.now()
    texts = (f"PCCROWD{n:05d}" for n in range(120))
    add_codes(shop.batch, enumerate(texts), who=None, now=now)
    lines = []
    for n in range(57):
        user = User.objects.create_user(f"s{n}@demo.edu", full_name=f"Student {n}")
        team = Team.objects.get_or_create(course=course, name=f"Team {n // 4 + 2}")[0]
        line = Enrollment(course=course, user=user, email=user.email, name=f"Student {n}", role=Role.STUDENT, team=team)
        line.save()
        lines.append(line)
    usd = {"course_usd": Decimal(5000), "team_usd": Decimal(200), "person_usd": Decimal(100)}
    open_budgets(course, **usd, why="late", who=None, now=now)
    for line in lines:
        assert line.user
        code = claimed(shop.batch, line)
        report_failed(code, cause="other", message="no", who=line.user, address=None, now=now)
        asked(line)
        CodeWait.objects.create(batch=shop.reserve, seq=line.pk, enrollment=line, at=now)
    for n in range(40):
        CodeEvent.objects.create(code=shop.code, verb="revealed", who=cast.ta.user, why=f"{n}", at=now)
    _win(shop, cast, lines)
    rest = b"\n".join(b"PCDRAFT%07d" % n for n in range(400))
    assert cast.ta.user
    shop.draft.sealed = drafts.keep(course, rest, who=cast.ta.user, now=now).sealed
    CreditCode.objects.filter(holder__in=lines[:20]).update(status="redeemed")


def _win(shop: Shop, cast: Cast, lines: list[Enrollment]) -> None:
    assert cast.instructor.user
    ranking = [Ranked(3, line.name) for line in lines]
    behind = {line.name: f"person:{line.pk}" for line in lines}
    contests.enter(shop.contest, ranking, behind, who=cast.instructor.user, now=timezone.now() + timedelta(seconds=1))


def test_the_number_of_questions_does_not_grow(shop: Shop, cast: Cast) -> None:
    few = {name: asked_by(name, shop, cast) for name in MOST}
    crowd(shop, cast)
    object.__setattr__(shop, "draft", type(shop.draft).objects.get())
    many = {name: asked_by(name, shop, cast) for name in MOST}
    # The story, the list of lines and the queue are longer; the questions are the same.
    assert {name: many[name] - few[name] for name in MOST if many[name] > few[name]} == {}
    assert {name: count for name, count in many.items() if count > MOST[name]} == {}
