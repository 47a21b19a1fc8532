"""Where the money goes, as instructor, sponsor and student see it: the same figures, and no name too far."""

import re
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

import pytest
from django.urls import reverse
from django.utils import timezone

from benchmarks import dashboard_rows
from courses.models import Enrollment, Milestone, Role, User
from credits.letters import Letter
from instances.models import Instance
from portal.weekly import latest_monday, mail_due
from spend.metering import ChargeLine, hour_of
from spend.price_tags import PriceTag
from spend.readers import subscribe
from spend.services import budget_of, post
from tests.conftest import Cast
from tests.instances.conftest import Stage
from tests.pages.conftest import signed_in
from tests.pages.test_course_home import text_of

SPEND = "/c/dl19/staff/spend/"


@pytest.fixture
def spent(today: Stage, cast: Cast) -> Instance:
    """Ada's machine ran an hour yesterday, a quarter of it idle: $2.40 of $9.60; Ben's cost $1."""
    row = today.running()
    yesterday = hour_of(timezone.now() - timedelta(days=1))
    line = ChargeLine("compute", yesterday, 3600, Decimal("9.6"), 900)
    post(budget_of(cast.student), row.run_hold_key, [line], timezone.now(), group="homework")
    ben = ChargeLine("compute", yesterday, 3600, Decimal(1))
    post(budget_of(cast.other_student), "machine/b/run/1", [ben], timezone.now(), group="homework")
    return row


def html(cast: Cast, path: str, who: Enrollment | None = None, status: int = 200) -> str:
    answer = signed_in((who or cast.instructor).user).get(path)
    assert answer.status_code == status
    return answer.content.decode()


def test_the_figures_the_purposes_and_what_is_idle(spent: Instance, cast: Cast) -> None:
    text = text_of(html(cast, SPEND))
    assert "Gross $10.60" in text
    assert "Machines idle $2.40" in text
    assert "Machines in use $8.20" in text
    assert "Homework: T4 16 GB $10.60 $2.40 2.0" in text
    assert "Covered by credits –" in text  # AWS was not asked: no figure is made up
    assert "Running now" in text


def test_every_bar_leads_to_rows_that_add_up_to_it(spent: Instance, cast: Cast) -> None:
    page = html(cast, SPEND + "?range=7")
    chart = page[page.index("<svg xmlns", page.index("days-title")) :]
    chart = chart[: chart.index("</svg>")]
    assert "<script" not in chart
    assert "<style" not in chart
    links = re.findall(r'<a href="([^"]+)"([^>]*)>', chart)
    stops = [to for to, more in links if "tabindex" not in more]
    assert len(stops) == len(set(stops)) == 1  # one tab stop for each bar that is there
    behind = text_of(html(cast, stops[0].replace("&amp;", "&")))
    assert "$10.60" in behind
    assert "Ada Student" in behind
    assert "Ben Other" in behind


def test_days_that_make_no_sense_are_refused_next_to_their_field(spent: Instance, cast: Cast) -> None:
    page = html(cast, SPEND + "?range=custom&first=2019-03-05&last=2019-03-01", status=422)
    assert "The last day is before the first one." in text_of(page)
    assert "Say both days" in text_of(html(cast, SPEND + "?range=custom&first=2019-03-05", status=422))
    assert "Gross $10.60" in text_of(page)  # the whole course meanwhile


@pytest.mark.parametrize("ending", ["csv", "xlsx", "parquet"])
@pytest.mark.parametrize("table", ["person", "purpose", "charges"])
def test_every_table_can_be_taken_away(spent: Instance, cast: Cast, table: str, ending: str) -> None:
    answer = signed_in(cast.ta.user).get(f"{SPEND}files/{table}.{ending}")
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content
    begins = {"csv": b"what," if table != "charges" else b"hour_utc", "xlsx": b"PK", "parquet": b"PAR1"}
    assert body.startswith(begins[ending])
    assert answer["Content-Disposition"].endswith(f'.{ending}"')


def test_the_weekly_report_names_nobody_and_comes_by_mail_on_request(spent: Instance, cast: Cast) -> None:
    week = f"{timezone.now() - timedelta(days=1):%Y-%m-%d}"
    text = text_of(html(cast, f"{SPEND}report/?week={week}"))
    assert "Spent in this week $10.60" in text
    assert "Ada" not in text
    client = signed_in(cast.ta.user)
    client.post(f"{SPEND}report/mail", {"week": week})
    letter = Letter.objects.get()
    assert letter.to == cast.ta.email
    assert "$10.60 spent" in letter.body
    assert f"{SPEND}report/?week=" in letter.body


def test_the_weekly_mail_comes_once_a_week_to_whoever_asked(spent: Instance, cast: Cast) -> None:
    """Whatever rounds were missed or doubled, and though the mail server is down meanwhile: a letter is a row."""
    signed_in(cast.ta.user).post(f"{SPEND}report/weekly", {"wanted": "yes"})
    monday = datetime.combine(latest_monday(timezone.now()) + timedelta(days=14), time(), UTC)  # the next but one
    hours = [monday + timedelta(hours=n) for n in (1, 20, 21, 45, 160)]
    assert [mail_due(now) for now in hours] == [0, 1, 0, 0, 0]  # from seven in the course's morning on
    assert mail_due(monday + timedelta(days=10)) == 1  # the round was dead for days
    assert set(Letter.objects.values_list("to", flat=True)) == {cast.ta.email}
    assert Letter.objects.count() == 2
    signed_in(cast.ta.user).post(f"{SPEND}report/weekly", {"wanted": "no"})
    assert mail_due(monday + timedelta(days=15)) == 0


def test_nobody_gets_it_who_has_left_the_staff(spent: Instance, cast: Cast) -> None:
    subscribe(cast.ta, wanted=True, last_week=latest_monday(timezone.now()), now=timezone.now())
    Enrollment.objects.filter(pk=cast.ta.pk).update(role="student")
    assert mail_due(timezone.now() + timedelta(days=10)) == 0


def test_the_bill_says_that_it_was_not_read_yet(spent: Instance, cast: Cast) -> None:
    assert "AWS’s bill was not read yet" in text_of(html(cast, SPEND + "bill/"))


# ------------------------------------------------------------------ the student
def test_a_person_sees_what_idle_time_cost_and_the_teams_shares(spent: Instance, cast: Cast) -> None:
    text = text_of(html(cast, "/c/dl19/money/", cast.student))
    assert "Idle machines cost you $2.40" in text
    assert re.search(r"Ada Student \( ?you ?\) \$9\.60 90\.6 %", text)
    assert "Ben Other $1.00 9.4 %" in text
    hours = text_of(html(cast, "/c/dl19/money/hours/", cast.student))
    assert "$9.6000" in hours
    assert "$1.0000" not in hours
    assert "$1.0000" not in text_of(html(cast, f"/c/dl19/money/hours/?person={cast.other_student.pk}", cast.student))


def test_the_receipt_of_a_session_says_how_long_how_much_and_how_much_idle(spent: Instance, cast: Cast) -> None:
    now = timezone.now()
    spent.runs.update(ended_at=now, started_at=now - timedelta(hours=2, minutes=10), settled_at=now)
    text = text_of(html(cast, reverse("receipt", args=[spent.slug, 1]), cast.student))
    assert "2 h 10 min, $9.60, of which idle $2.40" in text
    assert signed_in(cast.other_student.user).get(reverse("receipt", args=[spent.slug, 1])).status_code == 404


def test_homework_has_a_price_and_names_nobody(spent: Instance, cast: Cast) -> None:
    today = timezone.now().date()
    work = Milestone.objects.create(
        course=cast.course, name="HW1", handed_out_on=today - timedelta(days=5), due_on=today
    )
    said = {"total_usd": 0, "as_of": timezone.now(), "median_usd": Decimal("4.1")}
    PriceTag.objects.create(milestone=work, people=4, **said)
    assert "HW1 fewer than 5 $9.60" in text_of(html(cast, "/c/dl19/money/", cast.student))
    PriceTag.objects.update(people=5)
    assert "HW1 $4.10 $9.60 2.3 × the median" in text_of(html(cast, "/c/dl19/money/", cast.student))


# ------------------------------------------------------------------ the sponsor
@pytest.fixture
def sponsor(cast: Cast) -> Enrollment:
    user = User.objects.create_user("sol@demo.edu", full_name="Sol Sponsor")
    return Enrollment.objects.create(
        course=cast.course, user=user, email=user.email, name="Sol Sponsor", role=Role.SPONSOR
    )


def test_a_sponsor_sees_totals_and_nobodys_name(spent: Instance, cast: Cast, sponsor: Enrollment) -> None:
    assert signed_in(sponsor.user).get("/").headers["Location"] == "/sponsor/"
    text = text_of(html(cast, "/sponsor/", sponsor))
    assert "Granted $10,000.00" in text
    assert "Machines idle: $2.40" in text
    assert "Deep Learning" in text
    assert "fewer than 5" in text  # a mean of two students would be one's business
    for name in (cast.student.name, cast.other_student.name, cast.team.name, spent.slug):
        assert name not in text
    assert signed_in(sponsor.user).get("/c/dl19/").status_code == 404


# ------------------------------------------------------------------ questions to the database
def test_no_page_asks_more_because_there_is_more_to_show(db: None) -> None:
    """Two semesters of the same people, one with ten times the charges: `make bench-dashboard` in small."""
    from benchmarks.dashboard import counted, looks

    now = timezone.now()
    small = dashboard_rows.seed("small", students=12, rows=12 * 60, now=now)
    big = dashboard_rows.seed("big", students=12, rows=12 * 600, now=now)
    assert big.rows >= 9 * small.rows
    asked = [{name: counted(look.get)[0] for name, look in looks(one).items()} for one in (small, big)]
    assert asked[0] == asked[1]
    assert max(asked[1].values()) <= 34
