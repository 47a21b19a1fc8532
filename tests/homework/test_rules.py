"""Homework links: what may be in them, and that nothing in them is read as anything else."""

from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instances.gateway.headers import local_path
from instances.homework_rules import BadLink, Wrong, assignment, pulled_repo_allowed, source

ALLOWED = ["https://git.demo.edu/course"]
REPO = "https://git.demo.edu/course/hw.git"


def wrong(repo: str = REPO, branch: str = "", path: str = "") -> Wrong | None:
    try:
        assignment(repo, branch, path, allowed=ALLOWED)
    except BadLink as error:
        return error.wrong
    return None


def test_a_link_leads_to_nbgitpuller_on_the_machine_and_from_there_to_the_file() -> None:
    work = assignment(REPO, "fall/19", "hw 1/sheet.ipynb", allowed=ALLOWED)
    path, _mark, query = work.notebook_path.partition("?")
    assert path == "/git-pull"
    assert parse_qs(query) == {
        "repo": [REPO],
        "targetpath": ["hw"],
        "urlpath": ["lab/tree/hw/hw%201/sheet.ipynb"],
        "branch": ["fall/19"],
    }
    assert local_path(work.notebook_path) == work.notebook_path
    assert work.title == "sheet.ipynb"


@pytest.mark.parametrize(
    "repo",
    [
        "http://git.demo.edu/course/hw",
        "git://git.demo.edu/course/hw",
        "ssh://git@git.demo.edu/course/hw",
        "file:///etc",
        "ext::sh -c touch% /tmp/x",
        "--upload-pack=touch /tmp/x",
        "//git.demo.edu/course/hw",
        "",
    ],
)
def test_only_https_is_pulled(repo: str) -> None:
    assert wrong(repo) is Wrong.NOT_HTTPS


@pytest.mark.parametrize(
    "repo",
    [
        "https://ada:secret@git.demo.edu/course/hw",
        "https://git.demo.edu:8443/course/hw",
        "https://git.demo.edu:no/course/hw",
        "https://git.demo.edu/course/hw?x=1",
        "https://git.demo.edu/course/hw#x",
        "https://git.demo.edu/course/../other",
        "https://git.demo.edu/course/--upload-pack=x",
        "https://git.demo.edu/course/%2e%2e/other",
        "https://git.demo.edu/course//hw",
        "https://git.demo.edu\\@evil.example/course/hw",
        "https://git.demo.edu/course/hw\nx",
        "https://localhost/course/hw",
        "https://",
    ],
)
def test_an_address_that_can_be_read_in_two_ways_is_no_repository(repo: str) -> None:
    assert wrong(repo) is Wrong.NO_REPO


@pytest.mark.parametrize(
    "repo",
    [
        "https://git.demo.edu/course-of-mallory/hw",  # begins with the same letters
        "https://git.demo.edu/other/hw",
        "https://git.demo.edu.evil.example/course/hw",
        "https://evil.example/git.demo.edu/course/hw",
    ],
)
def test_what_lies_beside_the_allowed_address_is_not_allowed(repo: str) -> None:
    assert wrong(repo) is Wrong.NOT_ALLOWED


def test_what_is_allowed_is_the_address_itself_and_all_below_it_in_any_case_of_the_host() -> None:
    assert wrong("https://GIT.demo.edu/course/deep/er") is None
    assert wrong("https://git.demo.edu/course/") is None


@pytest.mark.parametrize(
    "branch", ["-x", "--upload-pack=x", "a..b", "a b", "a\nb", "x.lock", "a//b", "@{1}", "x" * 101]
)
def test_a_branch_is_never_an_option(branch: str) -> None:
    assert wrong(branch=branch) is Wrong.BRANCH


@pytest.mark.parametrize("path", ["../x", "a/../../x", "a//b", "a\\b", "a/./b", "a\nb", "\x00"])
def test_a_path_stays_inside_the_repository(path: str) -> None:
    assert wrong(path=path) is Wrong.PATH


def test_a_link_that_no_ticket_could_keep_is_refused() -> None:
    assert wrong(path="x" * 200 + "/" + "y" * 200) is Wrong.TOO_LONG


@given(st.text(max_size=60), st.text(max_size=30), st.text(max_size=60))
def test_whatever_is_typed_either_fails_or_stays_on_the_machine_and_in_the_home_directory(
    repo: str, branch: str, path: str
) -> None:
    for address in (repo, f"{REPO}{repo}"):
        try:
            work = assignment(address, branch, path, allowed=ALLOWED)
        except BadLink:
            continue
        assert local_path(work.notebook_path) == work.notebook_path
        asked = parse_qs(urlsplit(work.notebook_path).query)
        assert asked["repo"][0].startswith("https://git.demo.edu/course")
        assert not any(value[0].startswith("-") for value in asked.values())
        assert "/" not in asked["targetpath"][0]
        assert ".." not in asked["urlpath"][0].split("/")


def test_a_source_is_written_in_one_way() -> None:
    assert source(" https://Git.Demo.edu/course/ ") == "https://git.demo.edu/course"


def test_a_pull_that_an_address_asks_for_must_be_allowed_too() -> None:
    assert pulled_repo_allowed({"repo": [REPO]}, ALLOWED)
    assert not pulled_repo_allowed({"repo": ["https://evil.example/x"]}, ALLOWED)
    assert not pulled_repo_allowed({"repo": [REPO, "https://evil.example/x"]}, ALLOWED)
    assert not pulled_repo_allowed({}, ALLOWED)
