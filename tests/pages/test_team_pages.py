"""Teams on their pages: by invitation, by staff, by lot; who moves with a running machine takes its hold along."""

import re
from urllib.parse import urlsplit

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from courses.events import CourseEvent
from courses.invitations import TeamInvitation
from courses.models import Enrollment, Team, User
from courses.teams import TeamRefused
from credits.models import Letter
from portal import teams
from spend.checks import check_books
from spend.defaults import set_defaults
from spend.models import Budget
from tests.conftest import Cast
from tests.instances.conftest import Stage
from tests.pages.conftest import signed_in
from tests.pages.test_roster_pages import HEAD, confirm, upload


@pytest.fixture
def course(today: Stage, cast: Cast) -> Cast:
    set_defaults(cast.course, team_usd=200, person_usd=100)
    return cast


@pytest.fixture
def ta(course: Cast) -> Client:
    return signed_in(course.ta.user)


@pytest.fixture
def cleo(course: Cast) -> Enrollment:
    user = User.objects.create_user("cleo@demo.edu", full_name="Cleo Kim")
    return Enrollment.objects.create(course=course.course, user=user, email=user.email, name="Cleo Kim")


def go(client: Client, page: str, *args: object, **said: object) -> str:
    return client.post(reverse(page, args=["dl19", *args]), said, follow=True).content.decode()


def team_of(line: Enrollment) -> str:
    found = Enrollment.objects.select_related("team").get(pk=line.pk).team
    return found.name if found else ""


def test_students_form_a_team_by_invitation(course: Cast, cleo: Enrollment) -> None:
    ada, cleos = signed_in(course.student.user), signed_in(cleo.user)
    assert "finds the invitation here" in go(ada, "own_team_invite", email=" CLEO@demo.edu ")
    assert "A classmate invites you into a team." in cleos.get(reverse("course_home", args=["dl19"])).content.decode()
    page = cleos.get(reverse("own_team", args=["dl19"])).content.decode()
    assert "Ada Student invites you into “Team 1”" in page
    asked = TeamInvitation.objects.get()
    assert "You are in “Team 1”." in go(cleos, "own_team_answer", asked.pk, answer="accept")
    assert team_of(cleo) == "Team 1"
    go(cleos, "own_team_leave")
    assert team_of(cleo) == ""
    go(cleos, "own_team_form", name="Night Shift")
    assert Budget.objects.get(team__name="Night Shift").amount_usd == 200
    go(cleos, "own_team_leave")
    assert Team.objects.get(name="Night Shift").closed_at
    assert check_books() == []


def test_an_invitation_is_declined_taken_back_and_answered_once(course: Cast, cleo: Enrollment) -> None:
    ada, cleos = signed_in(course.student.user), signed_in(cleo.user)
    go(ada, "own_team_invite", email="cleo@demo.edu")
    first = TeamInvitation.objects.get()
    go(cleos, "own_team_answer", first.pk, answer="decline")
    go(cleos, "own_team_answer", first.pk, answer="accept")
    assert team_of(cleo) == ""
    go(ada, "own_team_invite", email="cleo@demo.edu")
    second = TeamInvitation.objects.get(status="open")
    go(signed_in(course.other_student.user), "own_team_withdraw", second.pk)
    assert "not open any more" in go(cleos, "own_team_answer", second.pk, answer="accept")


def test_an_invitation_comes_by_mail_once(course: Cast, cleo: Enrollment) -> None:
    ada = signed_in(course.student.user)
    for _ in range(2):
        go(ada, "own_team_invite", email="cleo@demo.edu")
    go(ada, "own_team_withdraw", TeamInvitation.objects.get().pk)
    go(ada, "own_team_invite", email="cleo@demo.edu")  # not a way to fill somebody's mailbox
    go(ada, "own_team_invite", email="ben@demo.edu")  # refused: he is in a team
    letter = Letter.objects.get(key__startswith="invitation/")
    assert letter.to == "cleo@demo.edu"
    assert letter.subject == "Ada Student invites you into “Team 1”"
    link = re.search(r"https?://\S+", letter.body)
    assert link
    assert link[0].endswith(reverse("own_team", args=["dl19"]))
    assert signed_in(cleo.user).get(urlsplit(link[0]).path).status_code == 200


def test_who_is_in_a_team_or_unknown_cannot_be_told_apart(course: Cast) -> None:
    ada = signed_in(course.student.user)
    for address in ("ben@demo.edu", "nobody@demo.edu", "tess@demo.edu", "ada@demo.edu"):
        answer = ada.post(reverse("own_team_invite", args=["dl19"]), {"email": address})
        assert answer.status_code == 422
        assert "Nobody without a team has this address" in answer.content.decode()


def test_a_full_team_takes_nobody_in(course: Cast, cleo: Enrollment) -> None:
    asked = TeamInvitation.objects.create(
        team=course.team, invited=cleo, by=course.student, at=course.student.created_at
    )
    course.course.team_min, course.course.team_max = 1, 2
    course.course.save()
    assert "“Team 1” is full: a team has 2 members at most." in go(
        signed_in(cleo.user), "own_team_answer", asked.pk, answer="accept"
    )
    asked.refresh_from_db()
    assert (asked.status, team_of(cleo)) == ("open", "")
    refused = signed_in(course.student.user).post(reverse("own_team_invite", args=["dl19"]), {"email": cleo.email})
    assert "your team is full (2)" in refused.content.decode()


def test_where_staff_form_the_teams_students_do_not(course: Cast, ta: Client, cleo: Enrollment) -> None:
    go(ta, "team_sizes", team_min="2", team_max="4")
    cleos = signed_in(cleo.user)
    assert "the staff form the teams" in cleos.get(reverse("own_team", args=["dl19"])).content.decode()
    go(cleos, "own_team_form", name="Rebels")
    assert not Team.objects.filter(name="Rebels").exists()
    assert CourseEvent.objects.get(kind="settings").facts["team_min"] == [3, 2]
    answer = ta.post(reverse("team_sizes", args=["dl19"]), {"team_min": "5", "team_max": "4"})
    assert (answer.status_code, "That is fewer than the least." in answer.content.decode()) == (422, True)


def test_staff_move_somebody_whose_machine_runs_with_its_hold_or_read_why_not(
    course: Cast, ta: Client, today: Stage
) -> None:
    today.running()
    go(ta, "team_new", name="Team 2")
    second = Team.objects.get(name="Team 2")
    held = Budget.objects.get(enrollment=course.student).held_usd
    Budget.objects.filter(team=second).update(amount_usd=1)
    html = go(ta, "team_move", course.student.pk, team=second.pk)
    assert "is held for the machines of Ada Student, and Team 2 has $1.00 left" in html
    assert team_of(course.student) == "Team 1"
    Budget.objects.filter(team=second).update(amount_usd=200)
    go(ta, "team_move", course.student.pk, team=second.pk)
    assert team_of(course.student) == "Team 2"
    assert Budget.objects.get(team=second).held_usd == held
    assert check_books() == []
    today.wait(61)
    assert Budget.objects.get(team=second).spent_usd > 0
    assert check_books() == []
    assert "Ada Student" in ta.get(reverse("team", args=["dl19", second.pk])).content.decode()


def test_a_teams_name_hides_and_turns_nothing(course: Cast, cleo: Enrollment) -> None:
    mine = signed_in(cleo.user)
    go(mine, "own_team_form", name="Night\u202e\u200f Owls\r\nBcc: x")
    assert team_of(cleo) == "Night Owls Bcc: x"
    assert mine.post(reverse("own_team_form", args=["dl19"]), {"name": "\u202e\u2066"}).status_code == 422


def test_a_careless_click_on_move_moves_nobody(course: Cast, ta: Client) -> None:
    page = ta.get(reverse("team", args=["dl19", course.team.pk])).content.decode()
    assert page.count(f'<option value="{course.team.pk}" selected>') == 2  # one for each member
    answer = ta.post(
        reverse("team_move", args=["dl19", course.student.pk]), {"team": course.team.pk}, follow=True
    ).content.decode()
    assert "is there already" in answer
    course.student.refresh_from_db()
    assert course.student.team == course.team


def test_a_dissolved_team_leaves_its_people_free_and_its_books_whole(course: Cast, ta: Client, today: Stage) -> None:
    today.running()
    today.wait(61)
    spent = Budget.objects.get(team=course.team).spent_usd
    assert spent > 0
    assert "is dissolved: 2 people are in no team" in go(ta, "team_dissolve", course.team.pk, why="fell out")
    assert (team_of(course.student), team_of(course.other_student)) == ("", "")
    gone = Budget.objects.get(team=course.team)
    assert (gone.spent_usd, gone.left_usd) == (spent, 0)
    assert check_books() == []
    assert "This team does not exist any more." in go(ta, "team_move", course.student.pk, team=course.team.pk)


def test_who_is_left_over_is_placed_as_it_was_shown(course: Cast, ta: Client, cleo: Enrollment) -> None:
    url = reverse("team_draw", args=["dl19"])
    page = ta.get(url).content.decode()
    assert "1 person would be placed" in page
    assert team_of(cleo) == ""
    seed, people = (re.search(f'name="{name}" value="([^"]*)"', page).group(1) for name in ("seed", "people"))
    Enrollment.objects.create(course=course.course, email="dan@demo.edu", name="Dan")
    again = ta.post(url, {"seed": seed, "people": people})
    assert (again.status_code, team_of(cleo)) == (409, "")
    page = again.content.decode()
    seed, people = (re.search(f'name="{name}" value="([^"]*)"', page).group(1) for name in ("seed", "people"))
    assert "2 people are placed." in ta.post(url, {"seed": seed, "people": people}, follow=True).content.decode()
    assert team_of(cleo) == "Team 1"


def test_a_list_with_a_column_of_teams_forms_and_fills_them(course: Cast, ta: Client, cleo: Enrollment) -> None:
    text = HEAD.strip() + ",team\nAda Student,ada@demo.edu,,Owls\nCleo Kim,cleo@demo.edu,,Owls\n"
    html = confirm(ta, upload(ta, text))
    assert "2 changed" in html
    assert (team_of(course.student), team_of(cleo)) == ("Owls", "Owls")
    assert Budget.objects.get(enrollment=course.student).parent.team.name == "Owls"
    again = ta.get(upload(ta, text)).content.decode()
    assert re.search(r"Changed</dt><dd>0<", again)
    assert check_books() == []


@pytest.mark.parametrize("who", ["student", "ta"])
def test_the_pages_ask_the_same_number_of_questions_for_any_number_of_teams(course: Cast, who: str) -> None:
    client = signed_in(getattr(course, who).user)
    url = reverse("own_team" if who == "student" else "teams", args=["dl19"])

    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert client.get(url).status_code == 200
        return len(queries)

    few = asked()
    for n in range(20):
        team = Team.objects.create(course=course.course, name=f"Team X{n}")
        Enrollment.objects.bulk_create(
            Enrollment(course=course.course, email=f"x{n}-{m}@demo.edu", name=f"X {n}", team=team) for m in range(3)
        )
    assert asked() == few <= 11


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_of_two_who_take_the_last_seat_at_once_one_gets_it(cast: Cast) -> None:
    assert _seats_taken(cast) == 3


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_control_without_the_teams_lock_both_sit_down(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    from time import sleep

    from courses import teams as verbs

    members = verbs.members_of

    def slow(team: Team) -> object:
        found = list(members(team))
        sleep(1.5)
        return type("Counted", (), {"count": lambda _self: len(found)})()

    monkeypatch.setattr(verbs, "members_of", slow)
    monkeypatch.setattr(verbs, "locked", lambda team: Team.objects.get(pk=team.pk))
    assert _seats_taken(cast) == 4


def _seats_taken(cast: Cast) -> int:
    """How many members a team of at most three has, when two more people accept at the same instant."""
    from functools import partial

    from django.utils import timezone

    from tests.race import race

    cast.course.team_min, cast.course.team_max = 1, 3
    cast.course.save()
    asked = []
    for n in range(2):
        user = User.objects.create_user(f"r{n}@demo.edu")
        line = Enrollment.objects.create(course=cast.course, user=user, email=user.email, name=f"R {n}")
        asked.append(TeamInvitation.objects.create(team=cast.team, invited=line, by=cast.student, at=timezone.now()))
    outcomes = race([partial(teams.accept, one, who=one.invited.user, now=timezone.now()) for one in asked])
    assert all(outcome.ok or isinstance(outcome.error, TeamRefused) for outcome in outcomes), outcomes
    return cast.team.members.count()
