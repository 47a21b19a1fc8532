"""Instructors change when machines stop: previewed in words, each change a row, and asked whom it holds for."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from bs4 import BeautifulSoup
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from instances.facts import in_force_for, limits_for
from instances.models import Instance, Policy, PolicyEdit
from tests.instances.conftest import Stage, fresh
from tests.pages.conftest import heard_of, signed_in

URL = "/c/dl19/staff/policy/"


def page(client: Client) -> BeautifulSoup:
    answer = client.get(URL)
    assert answer.status_code == 200
    return BeautifulSoup(answer.content, "html.parser")


def fields(soup: BeautifulSoup) -> dict[str, str]:
    """What a browser would send of the page's form."""
    form = soup.select_one("main form[method=post]")
    found = {}
    for tag in form.select("input[name], textarea[name]"):
        if tag.get("type") not in ("radio", "checkbox"):
            found[tag["name"]] = tag.text.lstrip("\n") if tag.name == "textarea" else tag.get("value", "")
    return found


def propose(client: Client, **changed: str) -> tuple[int, BeautifulSoup]:
    answer = client.post(URL, {**fields(page(client)), "act": "preview", **changed}, follow=True)
    return answer.status_code, BeautifulSoup(answer.content, "html.parser")


def save(client: Client, to_running: str = "no", why: str = "Deadlines", **changed: str) -> BeautifulSoup:
    _status, seen = propose(client, **changed)
    said = {**fields(seen), **changed, "act": "save", "why": why, "to_running": to_running}
    answer = client.post(URL, said, follow=True)
    return BeautifulSoup(answer.content, "html.parser")


def local(moment: datetime) -> str:
    return moment.astimezone(ZoneInfo("America/Los_Angeles")).strftime("%Y-%m-%dT%H:%M")


@pytest.fixture
def instructor(today: Stage) -> Client:
    return signed_in(today.cast.instructor.user)


def test_a_change_is_shown_in_words_before_anything_holds(today: Stage, instructor: Client) -> None:
    status, seen = propose(instructor, quiet="20", warn="5")
    assert status == 200
    lines = [line.text for line in seen.select("#preview li")]
    assert lines == ["Stopped when nobody uses it for: 30 min → 20 min", "Warned before: 10 min → 5 min"]
    assert not PolicyEdit.objects.exists()
    assert Policy.of(today.cast.course).rules.limits.quiet == 1800


def test_saved_it_holds_and_the_row_says_who_when_what_and_why(today: Stage, instructor: Client) -> None:
    seen = save(instructor, quiet="20", warn="5", why="Too much was wasted")
    edit = PolicyEdit.objects.get()
    assert (edit.who, edit.why, edit.to_running) == (today.cast.instructor.user, "Too much was wasted", False)
    assert (edit.before["limits"]["quiet"], edit.after["limits"]["quiet"]) == (1800, 1200)
    assert Policy.objects.get(course=today.cast.course).rules.limits.quiet == 1200
    assert "Too much was wasted" in seen.select_one(".timeline").text
    assert "30 min → 20 min" in seen.select_one(".timeline").text


def test_running_machines_keep_their_limits_unless_told_and_the_next_run_follows(
    today: Stage, instructor: Client
) -> None:
    row = today.running()
    save(instructor, "no", quiet="20", warn="5")
    assert limits_for(fresh(row), timezone.now()).quiet == 1800
    assert PolicyEdit.objects.get().kept_by == 1
    save(instructor, "yes", quiet="15", warn="5")
    assert limits_for(fresh(row), timezone.now()).quiet == 900
    save(instructor, "no", quiet="40", warn="5")
    save(instructor, "no", quiet="50", warn="5")
    assert limits_for(fresh(row), timezone.now()).quiet == 900  # of when it last followed
    today.stop(row)
    today.later(30)
    today.repair()
    from instances import services

    services.request_start(fresh(row), who=row.owner.user, now=today.now)
    assert limits_for(fresh(row), timezone.now()).quiet == 3000


def test_nothing_is_asked_for_without_a_reason_and_a_choice(today: Stage, instructor: Client) -> None:
    _status, seen = propose(instructor, quiet="20", warn="5")
    answer = instructor.post(URL, {**fields(seen), "act": "save", "why": "", "to_running": ""})
    assert answer.status_code == 422
    assert answer.content.decode().count('class="error"') == 2
    assert not PolicyEdit.objects.exists()


def test_what_is_saved_is_what_was_previewed(today: Stage, instructor: Client) -> None:
    _status, seen = propose(instructor, quiet="20", warn="5")
    said = {**fields(seen), "quiet": "240", "act": "save", "why": "x", "to_running": "no"}
    answer = instructor.post(URL, said)
    assert "30 min → 4 h" in answer.content.decode()  # shown first
    assert not PolicyEdit.objects.exists()


def test_two_instructors_at_once_do_not_overwrite_each_other(today: Stage, instructor: Client) -> None:
    _status, mine = propose(instructor, quiet="20", warn="5")
    save(signed_in(today.cast.instructor.user), hung="45")
    answer = instructor.post(URL, {**fields(mine), "act": "save", "why": "x", "to_running": "no"}, follow=True)
    assert "Somebody changed the policy meanwhile" in answer.content.decode()
    assert PolicyEdit.objects.count() == 1


@pytest.mark.parametrize(
    ("changed", "field", "words"),
    [
        ({"quiet": "1"}, "id_quiet", "Between 2 min and 4 h"),
        ({"quiet": "9999"}, "id_quiet", "Between 2 min and 4 h"),
        ({"warn": "25"}, "id_warn", "At most 15 min here"),
        ({"blind": "3.5"}, "id_blind", "Between 4 min and 1 h"),
        ({"hung": "soon"}, "id_hung", "Enter a number"),
        ({"keep_hours": "48"}, "id_keep_hours", "Between 1 h and 24 h"),
        ({"save_seconds": "900"}, "id_save_seconds", "Between 5 s and 2 min"),
        ({"night_begins": "23:00"}, "id_night_ends", "leave all of the night empty"),
        ({"windows-0-name": "Crunch"}, "id_windows-0-starts_at", "required"),
    ],
)
def test_an_error_stands_at_its_field(
    today: Stage, instructor: Client, changed: dict[str, str], field: str, words: str
) -> None:
    status, seen = propose(instructor, **changed)
    assert status == 422
    tag = seen.find(id=field)
    assert words in seen.find(id=f"{field}_error").text
    assert f"{field}_error" in tag["aria-describedby"]
    assert not PolicyEdit.objects.exists()


def test_crunch_week_has_its_own_quiet_time_and_ends_by_itself(today: Stage, instructor: Client) -> None:
    row, now = today.running(), timezone.now()
    starts, ends = now - timedelta(hours=1), now + timedelta(days=5)
    dates = {"windows-0-starts_at": local(starts), "windows-0-ends_at": local(ends)}
    seen = save(instructor, "yes", **{"windows-0-name": "Crunch week", "windows-0-quiet": "120", **dates})
    assert "“Crunch week”" in seen.text
    assert "quiet time 2 h" in seen.text
    found = in_force_for(fresh(row), now)
    assert (found.name, found.limits.quiet, found.limits.warn) == ("Crunch week", 7200, 600)
    assert in_force_for(fresh(row), now + timedelta(days=6)).limits.quiet == 1800
    removed = save(instructor, "yes", **{"windows-0-DELETE": "on"})
    assert "No more: “Crunch week”" in removed.text
    assert Policy.objects.get(course=row.course).windows == []


def test_windows_may_not_overlap_or_run_backwards(today: Stage, instructor: Client) -> None:
    now = timezone.now()
    window = {"windows-0-name": "A", "windows-0-quiet": "120", "windows-0-starts_at": local(now)}
    status, seen = propose(instructor, **window, **{"windows-0-ends_at": local(now - timedelta(days=1))})
    assert status == 422
    assert "end after it begins" in seen.find(id="id_windows-0-ends_at_error").text
    status, seen = propose(instructor, **window, **{"windows-0-ends_at": local(now + timedelta(days=60))})
    assert "At most 21 days" in seen.find(id="id_windows-0-ends_at_error").text


def test_the_preview_says_how_many_running_machines_it_would_warn(today: Stage, instructor: Client) -> None:
    row = today.running()
    heard_of(row, minutes_ago=12)
    _status, seen = propose(instructor, quiet="15", warn="5")
    assert "1 machine is on now" in seen.select_one("#preview").text
    assert "1 is warned at the next look" in " ".join(seen.select_one("#preview").text.split())


def test_a_ta_looks_and_changes_nothing_and_a_student_sees_no_such_page(today: Stage) -> None:
    ta = signed_in(today.cast.ta.user)
    seen = page(ta)
    assert "Nobody uses it for 30 min: stopped" in seen.text
    assert seen.select_one("main form") is None
    assert ta.post(URL, {"quiet": "20"}).status_code == 404
    assert signed_in(today.cast.student.user).get(URL).status_code == 404
    assert Client().get(URL).status_code == 302


def test_no_rule_lifts_the_cap() -> None:
    names = {field.name for field in Policy._meta.get_fields()}
    assert not {name for name in names if "usd" in name or "budget" in name or "cap" in name}


def test_the_machines_section_leads_there(today: Stage, instructor: Client) -> None:
    assert reverse("machine_policy", args=["dl19"]) in instructor.get("/c/dl19/staff/presets/").content.decode()


def test_the_user_data_of_a_launch_under_way_does_not_change_with_the_policy(today: Stage, instructor: Client) -> None:
    from instances.launching import spec_of

    row = today.click_launch()
    before = spec_of(Instance.objects.get(pk=row.pk)).user_data
    save(instructor, "yes", quiet="20", warn="5")
    assert spec_of(Instance.objects.get(pk=row.pk)).user_data == before
