"""A course with something on each of its pages of codes: stock, a failed code, requests, a contest with its ranking."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from cloud.fake_billing import FakeBilling, Promotion
from courses.models import Enrollment
from credits import contests, course_account, drafts, requests
from credits.drafts import ImportDraft
from credits.failures import report_failed
from credits.models import CodeBatch, Contest, CourseRedemption, CreditCode, CreditRequest, FailedReport, Purpose
from credits.ranking import Ranked
from credits.services import claim, reveal
from tests.credits.conftest import code_text, make_batch
from tests.instances.conftest import Stage


@dataclass(frozen=True)
class Shop:
    """One of each."""

    stage: Stage
    batch: CodeBatch
    reserve: CodeBatch
    prizes: CodeBatch
    code: CreditCode  # the student's
    report: FailedReport  # open, of the other student's code
    request: CreditRequest  # of the student
    contest: Contest  # with a ranking, nothing awarded
    draft: ImportDraft  # the TA's
    redemption: CourseRedemption  # asked for; AWS has not heard of it
    account: FakeBilling


def claimed(batch: CodeBatch, line: Enrollment) -> CreditCode:
    assert line.user
    code = claim(line, batch, who=line.user, address="192.0.2.1", now=timezone.now())
    reveal(code, who=line.user, why="", address="192.0.2.1", now=timezone.now())
    return code


def asked(line: Enrollment, usd: int = 50, *, for_team: bool = False, reason: str = "Videos") -> CreditRequest:
    assert line.user
    now = timezone.now()
    return requests.ask(line, amount_usd=Decimal(usd), reason=reason, for_team=for_team, who=line.user, now=now)


def failed(code: CreditCode, line: Enrollment, cause: str = "account-not-ready") -> FailedReport:
    assert line.user
    now = timezone.now()
    return report_failed(code, cause=cause, message="AWS said no", who=line.user, address=None, now=now).report


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> FakeBilling:
    """The course's AWS account in memory; it knows the codes of the reserve."""
    made = FakeBilling(known={code_text(100 + n): Promotion(Decimal(100)) for n in range(3)})
    monkeypatch.setattr("cloud.backends.course_account", lambda: made)
    monkeypatch.setattr("credits.tasks.course_account", lambda: made)
    return made


@pytest.fixture
def shop(today: Stage, batch: CodeBatch, account: FakeBilling) -> Shop:
    cast, now = today.cast, timezone.now()
    soon = (now + timedelta(days=10)).date()
    reserve = make_batch(cast.course, first=100, name="Reserve", purpose=Purpose.RESERVE, redeem_by=soon)
    prizes = make_batch(
        cast.course, first=200, name="HW4 prizes", purpose=Purpose.PRIZE, value_usd=Decimal(500), promotion="PRIZE"
    )
    code = claimed(batch, cast.student)
    report = failed(claimed(batch, cast.other_student), cast.other_student, "other")
    who = cast.instructor.user
    assert who
    assert cast.ta.user
    contest = contests.create_contest(cast.course, name="HW4", places=3, pool=prizes, who=who, now=now)
    ranking = [Ranked(1, "team one"), Ranked(2, "Ada"), Ranked(3, "nobody knows")]
    behind = {"team one": f"team:{cast.team.pk}", "Ada": f"person:{cast.student.pk}"}
    contests.enter(contest, ranking, behind, who=who, now=now)
    draft = drafts.keep(cast.course, b"code\nPCDRAFT0000001\n", who=cast.ta.user, now=now)
    asked_for = course_account.ask(list(reserve.codes.all()[:1]), why="For the project", who=who, now=now)[0]
    return Shop(today, batch, reserve, prizes, code, report, asked(cast.student), contest, draft, asked_for, account)
