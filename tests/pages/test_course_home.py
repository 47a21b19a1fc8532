"""The student's desk: money first, then credit, machines and presets, each with what it costs."""

import re
from datetime import timedelta
from decimal import Decimal

from django.urls import reverse
from django.utils import timezone

from courses.models import Enrollment
from credits.models import CodeBatch, CodeEvent, CreditCode
from spend.models import Budget, Level
from tests.conftest import Cast
from tests.credits.conftest import code_text
from tests.instances.conftest import Stage, fresh
from tests.pages.conftest import heard_of, signed_in

HOME = "/c/dl19/"


def text_of(html: str) -> str:
    """What a person reads: head and tags gone, spaces folded."""
    html = html.partition("</head>")[2] or html
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)).strip()


def read(who: Enrollment, url: str = HOME) -> str:
    return text_of(signed_in(who.user).get(url).content.decode())


def test_money_stands_first_and_adds_up(today: Stage) -> None:
    today.running()
    page = read(today.cast.student)
    figures = re.search(r"You have left \$([\d.]+) Spent \$([\d.]+) Held \$([\d.]+) Your budget \$([\d.]+)", page)
    assert figures
    left, spent, held, budget = map(Decimal, figures.groups())
    assert budget == 100
    assert abs(left + spent + held - budget) <= Decimal("0.02")  # each is rounded by itself
    assert page.index("You have left") < page.index("Your machines") < page.index("Launch a machine")


def test_held_money_grows_into_spent_money_while_it_runs_and_what_is_left_stands_still(today: Stage) -> None:
    today.running()
    budget = Budget.objects.get(enrollment=today.cast.student)
    page = read(today.cast.student)
    spent, held = (Decimal(x) for x in re.search(r"Spent \$([\d.]+) Held \$([\d.]+)", page).groups())  # type: ignore[union-attr]
    assert budget.spent_usd == 0  # nothing is posted yet: the page counts by the second
    assert spent > Decimal("0.15")
    assert abs(spent + held - budget.held_usd) <= Decimal("0.02")


def test_the_tightest_budget_is_named_when_it_is_not_ones_own(today: Stage) -> None:
    Budget.objects.filter(level=Level.TEAM).update(amount_usd=Decimal(30))
    page = read(today.cast.student)
    assert "You have left $30.00" in page
    assert (
        "The tightest is your team’s budget (Team 1): $30.00 left for all of you, though your own has $100.00." in page
    )


def test_without_a_budget_the_page_says_whom_to_ask(today: Stage) -> None:
    today.cast.student.budget.moves.all().delete()
    today.cast.student.budget.delete()
    page = read(today.cast.student)
    assert "No budget yet" in page
    assert "staff@demo.edu" in page


def test_a_preset_shows_what_is_in_it_what_it_costs_and_how_long_the_money_lasts(today: Stage) -> None:
    page = read(today.cast.student)
    assert "T4 GPU" in page
    # The dearest type that may be used ($0.8048) and its address ($0.005): what is held, so what is shown.
    assert "$0.8098 an hour" in page
    assert re.search(r"Your money is good for 11\d hours of it", page)


def test_a_running_machine_shows_cost_state_and_when_it_stops(today: Stage) -> None:
    row = today.running()
    heard_of(row, minutes_ago=5)
    html = signed_in(today.cast.student.user).get(HOME).content.decode()
    page = text_of(html)
    assert "Running" in page
    assert "Now $0.538 an hour" in page
    assert re.search(r"If nobody uses it, it stops at (\w{3} )?\d\d:\d\d", page)
    assert reverse("notebook", args=[row.slug]) in html


def test_a_warned_machine_offers_to_be_kept_with_its_price_where_the_warning_is(today: Stage) -> None:
    row = today.running()
    heard_of(row, minutes_ago=25, warned_at=timezone.now() - timedelta(minutes=4))
    page = read(today.cast.student)
    assert re.search(r"It stops at (\w{3} )?\d\d:\d\d \( in \d+ min", page)
    assert re.search(r"Nothing has used this machine since (\w{3} \d+ \w{3}, )?\d\d:\d\d\.", page)
    assert re.search(r"Keep it 1 h at most \$0\.8\d", page)


def test_a_stopped_machine_can_be_started_again_and_costs_its_disk(today: Stage) -> None:
    row = today.stop(today.running())
    today.later(60)
    today.repair()
    assert fresh(row).state == "stopped"
    page = read(today.cast.student)
    assert "Start again $0.531/h" in page
    assert "Nothing is running. Disks cost $0.007 an hour" in page


def test_the_live_part_is_the_part_of_the_page_that_it_replaces(today: Stage) -> None:
    today.running()
    client = signed_in(today.cast.student.user)
    part = client.get(reverse("course_live", args=["dl19"])).content.decode().strip()
    assert part.startswith('<div id="live"')
    assert "<html" not in part
    assert 'hx-trigger="every 10s' in part  # nothing is on the move


def test_the_live_part_is_quick_while_something_moves(today: Stage) -> None:
    today.click_launch()
    assert 'hx-trigger="every 2s' in signed_in(today.cast.student.user).get(HOME).content.decode()


# ------------------------------------------------------------------ credit
def test_claiming_is_one_button_and_the_code_is_there_again_on_every_visit(today: Stage, batch: CodeBatch) -> None:
    client = signed_in(today.cast.student.user)
    assert "Claim $100.00" in read(today.cast.student)
    answer = client.post(reverse("claim", args=["dl19", batch.pk]), follow=True)
    assert "The code is yours" in answer.content.decode()
    for _visit in range(2):
        page = read(today.cast.student)
        assert "Your credit code: $100.00" in page
        assert "30 Sep 2027" in page
        assert "Claim $100.00" not in page
    assert CreditCode.objects.get(holder=today.cast.student).status == "claimed"


def test_the_code_itself_is_on_no_page_until_it_is_asked_for_and_then_never_stored(
    today: Stage, batch: CodeBatch
) -> None:
    client = signed_in(today.cast.student.user)
    client.post(reverse("claim", args=["dl19", batch.pk]))
    code = CreditCode.objects.get(holder=today.cast.student)
    assert code_text(0) not in client.get(HOME).content.decode()
    part = client.post(reverse("reveal", args=["dl19", code.pk]), headers={"HX-Request": "true"})
    whole = client.post(reverse("reveal", args=["dl19", code.pk]))
    for answer in (part, whole):
        assert code_text(0) in answer.content.decode()
        assert "no-store" in answer["Cache-Control"]
        assert "private" in answer["Cache-Control"]
    assert "<html" not in part.content.decode()
    assert "<html" in whole.content.decode()
    assert CodeEvent.objects.filter(code=code, verb="revealed").count() == 2


def test_the_way_to_redeem_says_to_do_it_before_the_first_launch(today: Stage, batch: CodeBatch) -> None:
    signed_in(today.cast.student.user).post(reverse("claim", args=["dl19", batch.pk]))
    assert "Redeem before you launch anything there" in read(today.cast.student)


def test_when_all_codes_are_gone_the_page_says_so_where_the_click_was(today: Stage, batch: CodeBatch) -> None:
    batch.codes.update(status="quarantined")
    answer = signed_in(today.cast.student.user).post(reverse("claim", args=["dl19", batch.pk]), follow=True)
    assert "All codes of “Welcome credit” are given out" in answer.content.decode()
    assert "is your place in line" in answer.content.decode()


def test_a_ta_has_a_desk_without_credit_to_claim(cast: Cast, today: Stage, batch: CodeBatch) -> None:
    page = read(cast.ta)
    assert "Claim" not in page
    assert "Launch a machine" in page
