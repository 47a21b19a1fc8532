"""The staff's page: the course's money, who runs what, the chart with its table, the file, and the big red button."""

import csv
import io
import re
from decimal import Decimal

from django.urls import reverse
from django.utils import timezone

from instances.models import Instance, SweepBeat
from spend.models import Budget, Hold
from tests.conftest import Cast
from tests.instances.conftest import Stage, fresh
from tests.pages.conftest import heard_of, signed_in
from tests.pages.test_course_home import text_of

STAFF = "/c/dl19/staff/"


def page(cast: Cast) -> str:
    return text_of(signed_in(cast.ta.user).get(STAFF).content.decode())


def test_the_figures_of_the_course_and_who_runs_what(today: Stage, cast: Cast) -> None:
    row = today.running()
    heard_of(row, minutes_ago=5)
    text = page(cast)
    assert "Budget $5,000.00" in text
    assert "Running now 1" in text
    assert "An hour now $0.53" in text
    assert "Ada Student Team 1 Homework: T4 16 GB Running" in text
    assert re.search(
        r"Last used at (\w{3} \d+ \w{3}, )?\d\d:\d\d\. \$0\.531 \$0\.04 (\w{3} )?\d\d:\d\d \( in 2\d min", text
    )
    assert reverse("machine_stop", args=[row.slug]) in signed_in(cast.ta.user).get(STAFF).content.decode()


def test_the_published_bound_is_what_the_open_holds_of_runs_still_allow(today: Stage, cast: Cast) -> None:
    row = today.running()
    text = page(cast)
    bound = re.search(r"at most \$([\d.]+) more , and the last machine is off by", text)
    assert bound, text
    held = Hold.objects.get(key=row.run_hold_key).amount_usd
    ran = (timezone.now() - row.runs.get().started_at).total_seconds()
    expected = held - row.usd_hour * Decimal(str(ran)) / 3600
    assert abs(Decimal(bound[1]) - expected) <= Decimal("0.01")


def test_with_all_lamps_out_the_page_says_so(today: Stage, cast: Cast) -> None:
    text = page(cast)
    assert "Nothing is running, so nothing can run away." in text
    assert "All lamps are out" in text
    assert "Stop all" not in text


def test_a_machine_on_its_way_counts_into_the_bound_before_its_lease_is_known(today: Stage, cast: Cast) -> None:
    today.click_launch()
    assert "Running now 0" in page(cast)
    assert re.search(r"at most \$3\.\d\d more", page(cast))  # ($0.8048 + $0.005) × (4 h + 5 min)


def test_the_days_are_a_chart_without_script_or_style_and_a_table_behind_it(today: Stage, cast: Cast) -> None:
    html = signed_in(cast.ta.user).get(STAFF).content.decode()
    chart = html[html.index("<svg xmlns") : html.index("</svg>", html.index("<svg xmlns"))]
    assert "<script" not in chart
    assert "<style" not in chart
    assert 'role="img"' in chart
    assert chart.count('class="bar"') == 3 * 31  # three kinds, each day of the course so far
    assert html.count('<tr><th scope="row">') >= 31


def test_everyone_is_listed_with_what_they_spent_and_can_be_looked_up(today: Stage, cast: Cast) -> None:
    today.running()
    html = signed_in(cast.instructor.user).get(STAFF).content.decode()
    people = html[html.index('id="people"') :]
    assert text_of(people).index("Ada Student") < text_of(people).index("Ben Other")  # the most spent first
    url = reverse("course_person", args=["dl19", cast.student.pk])
    assert url in people
    text = text_of(signed_in(cast.ta.user).get(url).content.decode())
    assert "Homework: T4 16 GB" in text
    assert "ada@demo.edu" in text


def test_the_file_has_the_same_people_and_today_in_it(today: Stage, cast: Cast) -> None:
    today.running()
    answer = signed_in(cast.ta.user).get(reverse("spend_csv", args=["dl19"]))
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert 'filename="dl19-spend-' in answer["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
    assert {row["name"] for row in rows} == {"Ada Student", "Ben Other", "Tess Assistant", "Ines Structor"}
    [ada] = [row for row in rows if row["email"] == "ada@demo.edu"]
    assert Decimal(ada["spent_usd"]) > Decimal("0.15")


def test_to_stop_them_all_there_is_one_way_the_kill_switch(today: Stage, cast: Cast) -> None:
    link, staff = f'id="kill-switch" href="{reverse("course_halt", args=["dl19"])}"', signed_in(cast.ta.user)
    assert link not in staff.get(STAFF).content.decode()
    today.running()
    assert link in staff.get(STAFF).content.decode()


def test_stopping_one_machine_comes_back_to_the_table(today: Stage, cast: Cast) -> None:
    row = today.running()
    answer = signed_in(cast.ta.user).post(reverse("machine_stop", args=[row.slug]), {"next": STAFF})
    assert answer["Location"] == STAFF
    assert fresh(row).state == "stopping"


def test_a_late_guard_is_said_loudly(today: Stage, cast: Cast) -> None:
    assert "The guard is late." not in page(cast)
    SweepBeat.objects.filter(name="idle").delete()
    text = page(cast)
    assert "The guard is late." in text
    assert "“idle” has never ended" in text


def test_what_a_person_is_called_cannot_break_out_of_the_page(today: Stage, cast: Cast) -> None:
    cast.student.name = "<script>alert(1)</script>"
    cast.student.save()
    today.running()
    html = signed_in(cast.ta.user).get(STAFF).content.decode()
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)" in html


def test_money_never_looks_better_than_it_is(today: Stage, cast: Cast) -> None:
    """Left + spent + held is the budget, on the page as in the books."""
    today.running()
    text = page(cast)
    left, spent, held = (
        Decimal(x.replace(",", ""))
        for x in re.search(r"Left \$([\d,.]+) Spent \$([\d,.]+) Held \$([\d,.]+)", text).groups()
    )  # type: ignore[union-attr]
    assert abs(left + spent + held - 5000) <= Decimal("0.02")
    assert Budget.objects.get(level="2-course").spent_usd == 0
    assert Instance.objects.count() == 1
