"""The homework link as a door: it costs nothing to follow, says what a click costs, and opens what was allowed."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from django.urls import reverse

from instances.models import Homework, HomeworkSource, Instance, NotebookTicket
from tests.homework.conftest import LINK, REPO
from tests.instances.conftest import Stage, fresh
from tests.pages.conftest import signed_in
from tests.pages.test_course_home import text_of

DESK = "/c/dl19/staff/homework/"


def pull_in(location: str) -> dict[str, list[str]]:
    [path] = parse_qs(urlsplit(location).query)["path"]
    assert path.startswith("/git-pull?")
    return parse_qs(urlsplit(path).query)


def test_without_a_machine_the_link_says_what_one_costs_and_starts_nothing(allowed: Stage) -> None:
    page = text_of(signed_in(allowed.cast.student.user).get(LINK).content.decode())
    assert "Set aside now $" in page
    assert re.search(f"It then pulls {REPO} and opens sheet.ipynb ?.", page)
    assert "Launch and open" in page
    assert not Instance.objects.exists()


def test_one_click_there_launches_and_leads_into_the_notebook(allowed: Stage) -> None:
    answer = signed_in(allowed.cast.student.user).post(LINK)
    row = Instance.objects.get()
    assert answer["Location"].startswith(reverse("notebook", args=[row.slug]))
    assert pull_in(answer["Location"])["repo"] == [REPO]


def test_a_stopped_machine_is_started_for_what_the_page_said(allowed: Stage) -> None:
    row = allowed.stop(allowed.running())
    allowed.wait(2)
    assert fresh(row).state == "stopped"
    client = signed_in(allowed.cast.student.user)
    page = text_of(client.get(LINK).content.decode())
    assert "is stopped. It starts with all your files" in page
    answer = client.post(LINK)
    assert fresh(row).state == "launching"
    assert pull_in(answer["Location"])["urlpath"] == ["lab/tree/homework/hw1/sheet.ipynb"]
    assert Instance.objects.count() == 1


def test_with_a_machine_that_runs_the_link_itself_is_the_click(allowed: Stage) -> None:
    row = allowed.running()
    answer = signed_in(allowed.cast.student.user).get(LINK)
    assert answer.status_code == 302
    assert answer["Location"].startswith(reverse("notebook", args=[row.slug]))


def test_without_money_it_is_refused_on_the_same_page_and_nothing_is_launched(allowed: Stage) -> None:
    allowed.preset.lease_seconds = 400 * 3600
    allowed.preset.save()
    answer = signed_in(allowed.cast.student.user).post(LINK)
    assert answer.status_code == 409
    assert "Not launched." in text_of(answer.content.decode())
    assert not Instance.objects.exists()


@pytest.mark.parametrize("repo", ["https://evil.example/x", "http://git.demo.edu/homework", "--upload-pack=x", ""])
def test_a_link_to_anything_else_is_refused_in_words_and_launches_nothing(allowed: Stage, repo: str) -> None:
    client = signed_in(allowed.cast.student.user)
    link = f"/c/dl19/launch?preset=homework&repo={repo}"
    for answer in (client.get(link), client.post(link)):
        assert answer.status_code == 422
        assert "This link opens nothing" in answer.content.decode()
    assert not Instance.objects.exists()


@pytest.mark.parametrize(
    "path",
    [
        "/git-pull?repo=https://evil.example/x",
        "/git-sync?repo=https://evil.example/x",
        "/interact?account=evil&repo=x",
        "/git-pull/api?repo=https://evil.example/x",
        f"/git-pull?repo={REPO}&targetpath=.ipython/profile_default/startup",
        f"/git-pull?repo={REPO}&targetpath=homework&urlpath=git-pull%3Frepo=https://evil.example/x",
    ],
)
def test_no_link_makes_a_notebook_pull_what_the_course_does_not_allow(allowed: Stage, path: str) -> None:
    row = allowed.running()
    client = signed_in(allowed.cast.student.user)
    for more in ({}, {"state": "a" * 64}):
        refused = client.get(reverse("notebook", args=[row.slug]), {"path": path} | more)
        assert refused.status_code == 422
        assert "pull what no homework link of your course asks for" in text_of(refused.content.decode())
    assert not NotebookTicket.objects.exists()


@pytest.mark.parametrize("dots", ["/./git-pull", "/lab/../git-pull", "/%2e/git-pull", "/lab/%252e%252e/git-pull"])
def test_a_path_with_dots_leads_to_the_front_page(allowed: Stage, dots: str) -> None:
    address = reverse("notebook", args=[allowed.running().slug])
    client = signed_in(allowed.cast.student.user)
    assert client.get(address, {"path": f"{dots}?repo=https://evil.example/x"})["Location"].endswith("/lab")


def test_a_link_of_the_course_goes_through_the_notebooks_door_as_it_is(allowed: Stage) -> None:
    allowed.running()
    client = signed_in(allowed.cast.student.user)
    door = client.get(LINK)["Location"]
    [path] = parse_qs(urlsplit(door).query)["path"]
    assert client.get(door)["Location"].endswith(path)


# ------------------------------------------------------------------ staff
def test_staff_allow_a_source_and_add_a_link_that_stands_on_the_home_page(today: Stage) -> None:
    client = signed_in(today.cast.ta.user)
    assert "no homework link works" in text_of(client.get(DESK).content.decode())
    client.post(DESK, {"what": "source", "address": "https://git.demo.edu/"})
    assert HomeworkSource.objects.get().address == "https://git.demo.edu"
    link = {"what": "link", "title": "Homework 1", "preset": today.preset.pk, "repo": REPO, "path": "/hw1/sheet.ipynb"}
    assert client.post(DESK, link).status_code == 302
    home = signed_in(today.cast.student.user).get("/c/dl19/").content.decode()
    assert "Homework 1" in home
    query = Homework.objects.get().query
    assert signed_in(today.cast.student.user).get(f"/c/dl19/launch?{query}").status_code == 200


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"repo": "https://evil.example/x"}, "repo", "may not open that repository"),
        ({"branch": "--x"}, "branch", "not the name of a branch"),
        ({"path": "../x"}, "path", "must lie inside the repository"),
    ],
)
def test_what_is_wrong_with_a_link_stands_below_its_field_and_nothing_is_kept(
    allowed: Stage, change: dict[str, str], field: str, words: str
) -> None:
    link = {"what": "link", "title": "Homework 1", "preset": allowed.preset.pk, "repo": REPO, **change}
    answer = signed_in(allowed.cast.ta.user).post(DESK, link)
    assert answer.status_code == 422
    assert words in answer.context["form"].errors[field][0]
    assert not Homework.objects.exists()


def test_a_source_that_is_no_address_is_refused(today: Stage) -> None:
    answer = signed_in(today.cast.ta.user).post(DESK, {"what": "source", "address": "http://git.demo.edu"})
    assert answer.status_code == 422
    assert not HomeworkSource.objects.exists()


def test_a_source_that_is_removed_shuts_its_links(allowed: Stage) -> None:
    one = HomeworkSource.objects.get()
    signed_in(allowed.cast.ta.user).post(f"{DESK}sources/{one.pk}/drop")
    assert signed_in(allowed.cast.student.user).get(LINK).status_code == 422


def test_the_page_asks_as_much_with_many_links_as_with_one(allowed: Stage, django_assert_max_num_queries) -> None:
    client = signed_in(allowed.cast.ta.user)
    link = {"what": "link", "title": "Homework", "preset": allowed.preset.pk, "repo": REPO}
    for _n in range(5):
        client.post(DESK, link)
    with django_assert_max_num_queries(8):
        client.get(DESK)
