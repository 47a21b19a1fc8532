"""Homework links: what may be in them, and that nothing in them is read as anything else."""

from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instances.gateway.headers import local_path
from instances.homework_rules import BadLink, Wrong, assignment, pull_allowed, pulls, source

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
        assert pull_allowed(*work.notebook_path.split("?"), ALLOWED)
        asked = parse_qs(urlsplit(work.notebook_path).query)
        assert asked["repo"][0].startswith("https://git.demo.edu/course")
        assert not any(value[0].startswith("-") for value in asked.values())
        assert "/" not in asked["targetpath"][0]
        assert ".." not in asked["urlpath"][0].split("/")


def test_a_source_is_written_in_one_way() -> None:
    assert source(" https://Git.Demo.edu/course/ ") == "https://git.demo.edu/course"


@pytest.mark.parametrize(
    "path",
    [
        "/git-pull",
        "/git-pull/",
        "/git-pull/api",
        "/git-pull/static",
        "/git-pull/static/../api",
        "/git-pull/what-comes-next",
        "/git-sync",
        "/interact",
        "//git-pull",
        "/./git-pull",
        "/lab/../git-pull",
        "/../../git-pull",
        "/%2e/git-pull",
        "/lab/%2e%2e/git-sync",
        "/lab%2f..%2finteract",
        "/%67it-pull",
        "/%2567it-pull",
        "/git-pull#x",
    ],
)
def test_a_pull_is_known_however_its_path_is_written(path: str) -> None:
    assert pulls(path)


@pytest.mark.parametrize(
    "path",
    ["/", "/lab", "/lab/tree/git-pull", "/files/interact", "/git-pull/static/dist/bundle.js", "/git-pulls", "/api", ""],
)
def test_other_paths_are_no_pulls(path: str) -> None:
    assert not pulls(path)


def test_a_path_that_was_encoded_a_thousand_times_is_not_decoded_a_thousand_times() -> None:
    assert not pulls("/%" + "25" * 30_000 + "2e")


OURS = {"repo": REPO, "targetpath": "hw", "branch": "main", "urlpath": "lab/tree/hw/hw%201/sheet.ipynb"}
API = {"repo": REPO, "targetpath": "hw", "branch": "main", "_xsrf": "2|a"}


def without(asked: dict[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in asked.items() if key != name}


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/git-pull", OURS),
        ("/git-pull", without(OURS, "branch")),
        ("/git-pull", OURS | {"urlpath": "lab/tree/hw"}),
        ("/git-pull/api", API),
        ("/git-pull/api", without(without(API, "_xsrf"), "branch")),
    ],
)
def test_a_pull_that_a_link_of_ours_asks_for_is_allowed(path: str, asked: dict[str, str]) -> None:
    assert pull_allowed(path, urlencode(asked), ALLOWED)
    assert not pull_allowed(path, urlencode(asked), ["https://git.demo.edu/other"])


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/git-pull", {}),
        ("/git-pull", {"repo": REPO}),
        ("/git-pull", OURS | {"repo": "https://evil.example/hw.git"}),
        ("/git-pull", OURS | {"repo": f" {REPO}"}),
        ("/git-pull", OURS | {"branch": "--upload-pack=x"}),
        ("/git-pull", OURS | {"branch": ""}),
        *[
            ("/git-pull", OURS | {"targetpath": path})
            for path in ("", ".", "..", "/etc", "hw/..", "./hw", "hw/", "../hw", ".ipython/profile_default/startup")
        ],
        *[
            ("/git-pull", OURS | {"urlpath": path})
            for path in (
                "",
                "lab",
                "git-pull?repo=https://evil.example/x",
                "lab/tree/other/x",
                "lab/tree/hw/../../../git-pull?repo=x",
                "lab/tree/hw/%2e%2e/x",
                "lab/tree/hw?x",
                "lab/tree/hw/a b",
                "/evil.example/",
                "https://evil.example/",
            )
        ],
        ("/git-pull", without(OURS, "targetpath") | {"targetPath": "hw"}),
        ("/git-pull", OURS | {"targetPath": ".ssh"}),
        ("/git-pull", OURS | {"subpath": "x"}),
        ("/git-pull", OURS | {"app": "notebook"}),
        ("/git-pull", OURS | {"backup": "true"}),
        ("/git-pull", OURS | {"depth": ""}),
        ("/git-pull/", OURS),
        ("/./git-pull", OURS),
        ("/git-sync", OURS),
        ("/interact", OURS),
        ("/git-pull/api", OURS),
        ("/git-pull/api", API | {"targetpath": ".ssh"}),
        ("/git-pull/api", API | {"backup": "true"}),
        ("/git-pull/api", API | {"repo": "https://evil.example/hw.git"}),
    ],
)
def test_a_pull_that_differs_from_a_link_of_ours_in_one_word_is_not(path: str, asked: dict[str, str]) -> None:
    assert not pull_allowed(path, urlencode(asked), ALLOWED)


@pytest.mark.parametrize("more", ["&repo=https://evil.example/x", "&targetpath=.ssh", ";targetpath=.ssh", "#x", "&x"])
def test_a_pull_that_two_servers_may_read_in_two_ways_is_not(more: str) -> None:
    assert not pull_allowed("/git-pull", urlencode(OURS) + more, ALLOWED)
