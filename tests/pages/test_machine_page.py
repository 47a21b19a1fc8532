"""One machine's page: the live way to the notebook, the warning, what was said and done, and the way back."""

import re
from datetime import timedelta
from decimal import Decimal

from django.urls import reverse
from django.utils import timezone

from instances.books import dates_of
from instances.cards import card_of
from instances.launch_rules import course_end
from instances.models import Instance
from spend.models import Budget
from tests.conftest import Cast
from tests.instances.conftest import Stage, fresh
from tests.pages.conftest import signed_in
from tests.pages.test_course_home import text_of


def page_of(row: Instance, who: object = None) -> str:
    user = who or row.owner.user
    return signed_in(user).get(reverse("machine", args=[row.slug])).content.decode()  # type: ignore[arg-type]


def marks(html: str) -> list[str]:
    """The marks of the four steps, in order."""
    return re.findall(r'<li class="(done|doing|waiting|failed)"', html)


def test_the_steps_go_on_one_by_one_and_the_page_asks_each_second_until_they_are_done(today: Stage) -> None:
    row = today.click_launch()
    assert marks(page_of(row)) == ["doing", "waiting", "waiting", "waiting"]
    row = today.launch(today.cast.other_student)
    assert marks(page_of(row)) == ["done", "doing", "waiting", "waiting"]
    today.notebook_answers = False
    today.later(30)
    today.repair()
    html = page_of(row)
    assert marks(html) == ["done", "done", "doing", "waiting"]
    assert 'hx-trigger="every 1s' in html
    today.notebook_answers = True
    today.later(30)
    today.repair()
    html = page_of(row)
    assert marks(html) == []
    assert "The notebook was ready" in html
    assert 'hx-trigger="every 10s' in html


def test_starting_again_shows_the_steps_of_this_run_not_of_the_first(today: Stage) -> None:
    row = today.stop(today.running())
    today.later(60)
    today.repair()
    row = fresh(row)
    assert 'hx-trigger="visibilitychange' in page_of(row)  # settled: nothing is asked by the clock
    answer = signed_in(row.owner.user).post(reverse("machine_start", args=[row.slug]))
    assert answer["Location"] == reverse("machine", args=[row.slug])
    assert marks(page_of(fresh(row))) == ["done", "doing", "waiting", "waiting"]


def test_a_launch_that_failed_says_why_and_offers_to_try_again(today: Stage) -> None:
    row = today.click_launch()
    Instance.objects.filter(pk=row.pk).update(state="failed", reason="AWS has no free machine of this kind right now.")
    html = page_of(fresh(row))
    assert "AWS has no free machine of this kind right now." in html
    assert "Try again" in html


def test_who_waits_in_the_queue_reads_so_everywhere_and_of_no_place_at_aws(today: Stage) -> None:
    today.cloud.fill()
    row = today.launch()
    page = text_of(page_of(row))
    assert "In the queue: you are next" in page
    assert "In the queue · AWS has no free machine" in page  # the timeline: it was asked for once only
    assert page.count("In the queue") == 3  # the badge, the heading, the timeline
    assert row.slug in page
    assert f"{row.instance_type} · {row.zone}" not in page
    home = text_of(signed_in(row.owner.user).get(reverse("course_home", args=[row.course.slug])).content.decode())
    assert "In the queue" in home
    assert "Leave the queue" in home


def test_who_left_the_queue_is_not_told_that_something_was_deleted(today: Stage) -> None:
    today.cloud.fill()
    row = today.launch()
    signed_in(row.owner.user).post(reverse("machine_stop", args=[row.slug]))
    page = text_of(page_of(fresh(row)))
    assert "Left the queue. Nothing was charged." in page
    assert "Not started" in page
    assert "Deleted" not in page


def test_keeping_it_costs_at_most_what_the_button_says(today: Stage) -> None:
    row = today.running()
    before = Budget.objects.get(enrollment=row.owner)
    keep = card_of(fresh(row), timezone.now()).keeps[0]
    answer = signed_in(row.owner.user).post(
        reverse("machine_keep", args=[row.slug]), {"hours": str(keep.hours)}, follow=True
    )
    assert "stays on, used or not" in answer.content.decode()
    assert fresh(row).kept_until
    after = Budget.objects.get(enrollment=row.owner)
    assert after.held_usd - before.held_usd <= keep.usd
    assert "Kept on" in text_of(page_of(row))


def test_keeping_it_longer_than_the_money_lasts_is_refused_on_the_page(today: Stage) -> None:
    row = today.running()
    budget = Budget.objects.get(enrollment=row.owner)
    Budget.objects.filter(pk=budget.pk).update(amount_usd=budget.spent_usd + budget.held_usd)
    answer = signed_in(row.owner.user).post(reverse("machine_keep", args=[row.slug]), {"hours": "8"}, follow=True)
    assert "Your own budget cannot pay for this" in answer.content.decode()
    assert fresh(row).kept_until is None


def test_the_last_lease_before_the_end_of_the_course_is_not_blamed_on_the_budget(today: Stage) -> None:
    row, now = today.running(), timezone.now()
    Instance.objects.filter(pk=row.pk).update(unfunded_at=now)
    assert "the budget cannot pay for it longer" in page_of(fresh(row))
    Instance.objects.filter(pk=row.pk).update(lease_until=course_end(dates_of(row.course)))
    assert "In use, but the course ends then." in page_of(fresh(row))


def test_nonsense_for_hours_is_refused_in_words(today: Stage) -> None:
    row = today.running()
    for nonsense in ("", "soon", "-1", "nan", "1e9"):
        answer = signed_in(row.owner.user).post(
            reverse("machine_keep", args=[row.slug]), {"hours": nonsense}, follow=True
        )
        assert "A machine can be kept for 12 hours at most." in answer.content.decode()


def test_stopping_says_what_it_saves_and_the_page_goes_on_to_tell(today: Stage) -> None:
    row = today.running()
    assert "saves $0.531 an hour, keeps the disk" in page_of(row)
    answer = signed_in(row.owner.user).post(reverse("machine_stop", args=[row.slug]), follow=True)
    assert "is stopping. Its disk stays." in answer.content.decode()
    row = fresh(row)
    assert (row.state, row.reason) == ("stopping", "Stopped by its owner")
    assert "Delete disk" not in page_of(row)


def test_a_stopped_machine_tells_what_was_not_spent_since(today: Stage) -> None:
    row = today.stop(today.running())
    today.later(60)
    today.repair()
    Instance.objects.filter(pk=row.pk).update(state_since=timezone.now() - timedelta(hours=10))
    assert "Off since then: $5.31 not spent." in text_of(page_of(fresh(row)))


def test_deleting_names_the_loss_and_needs_a_second_word(today: Stage) -> None:
    row = today.running()
    html = page_of(row)
    assert '<dialog id="delete"' in html
    assert "Delete the disk of 64 GB?" in html
    assert "Delete every file for good" in html
    signed_in(row.owner.user).post(reverse("machine_terminate", args=[row.slug]))
    assert fresh(row).state == "terminating"


def test_staff_look_and_stop_but_get_no_buttons_that_are_the_owners(today: Stage, cast: Cast) -> None:
    row = today.running()
    html = page_of(row, cast.ta.user)
    assert "This is the machine of <b>Ada Student</b>" in html
    assert reverse("notebook", args=[row.slug]) not in html
    assert reverse("machine_keep", args=[row.slug]) not in html
    assert reverse("machine_terminate", args=[row.slug]) not in html
    signed_in(cast.ta.user).post(reverse("machine_stop", args=[row.slug]))
    row = fresh(row)
    assert (row.state, row.reason) == ("stopping", "Stopped by the course staff")
    event = row.events.filter(new_state="stopping").get()
    assert (event.who, event.mail_to) == (cast.ta.user, "ada@demo.edu")


def test_the_way_back_never_leads_out_of_the_house(today: Stage) -> None:
    row = today.running()
    url = reverse("machine_stop", args=[row.slug])
    for foreign in ("https://evil.example/", "//evil.example/", "javascript:alert(1)", "home", "%2f%2fevil.example"):
        answer = signed_in(row.owner.user).post(url, {"next": foreign})
        assert answer["Location"] == reverse("machine", args=[row.slug])
    assert signed_in(row.owner.user).post(url, {"next": "/c/dl19/"})["Location"] == "/c/dl19/"


def test_what_runs_costs_machine_address_and_disk_what_is_off_only_the_disk(today: Stage) -> None:
    row = today.running()
    assert card_of(fresh(row), timezone.now()).usd_hour == row.usd_hour + row.disk_usd_hour
    today.stop(row)
    today.later(60)
    today.repair()
    assert card_of(fresh(row), timezone.now()).usd_hour == row.disk_usd_hour
    assert row.disk_usd_hour == Decimal("0.007014")
    Instance.objects.filter(pk=row.pk).update(state="terminated")
    assert card_of(fresh(row), timezone.now()).usd_hour == 0


def test_the_timeline_does_not_say_things_twice(today: Stage) -> None:
    row = today.stop(today.running())
    text = text_of(page_of(row))
    assert "Asked for (Ada Student)" in text
    assert "Asked for · Asked for" not in text
    assert "Stopping · enough (Ada Student)" in text


def test_it_says_what_the_machine_has_cost_since_it_was_made(today: Stage) -> None:
    today.now -= timedelta(hours=4)
    row = today.running()
    today.active.add(row.slug)
    today.wait(120)
    today.stop(row)
    today.wait(100)
    found = re.search(r"Since it was made, with its disk \$(\d+\.\d\d)", text_of(page_of(fresh(row))))
    two_hours_and_a_disk = 2 * row.usd_hour + 4 * row.disk_usd_hour
    assert found
    assert abs(Decimal(found[1]) - two_hours_and_a_disk) < Decimal("0.02")
