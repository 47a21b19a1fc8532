"""Which homework links are sound, and where on the machine they lead. Pure: whom to allow comes in as plain text.

What is checked here becomes arguments of `git` and an address in the student's own notebook: nothing may be read as an
option, lead out of the home directory, or name another host than the one that the staff allowed.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote, urlencode, urlsplit

PULL_PATH = "/git-pull"  # of nbgitpuller, on each machine
LINK_MAX = 500  # characters of the whole path: what a ticket keeps
_REPO_PATH = re.compile(r"(/[A-Za-z0-9_~][A-Za-z0-9._~-]*)+")
_BRANCH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,99}")
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_BAD_IN_FILE = re.compile(r"[\x00-\x1f\x7f\\]")


class Wrong(StrEnum):
    NOT_HTTPS = "not-https"
    NO_REPO = "no-repo"  # not a plain repository's address
    NOT_ALLOWED = "not-allowed"
    BRANCH = "branch"
    PATH = "path"
    TOO_LONG = "too-long"


class BadLink(Exception):
    def __init__(self, wrong: Wrong) -> None:
        super().__init__(wrong.value)
        self.wrong = wrong


@dataclass(frozen=True, slots=True)
class Assignment:
    """One repository, and what to open of it. Made by `assignment`, so every part of it was checked."""

    repo: str
    branch: str
    path: str

    @property
    def folder(self) -> str:
        """Where it lies in the home directory: as `git clone` would name it."""
        return self.repo.rpartition("/")[2].removesuffix(".git")

    @property
    def title(self) -> str:
        return self.path.rpartition("/")[2] or self.folder

    @property
    def notebook_path(self) -> str:
        """On the machine's own host: pulls, then opens the file in JupyterLab."""
        inside = quote(f"{self.folder}/{self.path}".rstrip("/"))
        asked = {"repo": self.repo, "targetpath": self.folder, "urlpath": f"lab/tree/{inside}"}
        return f"{PULL_PATH}?{urlencode(asked | ({'branch': self.branch} if self.branch else {}))}"

    @property
    def query(self) -> str:
        """The same link, for an address of the portal."""
        parts = {"repo": self.repo, "branch": self.branch, "path": self.path}
        return urlencode({name: value for name, value in parts.items() if value})


def assignment(repo: str, branch: str, path: str, *, allowed: Iterable[str]) -> Assignment:
    """Raises BadLink. `allowed`: addresses as `source` writes them; what lies below one of them is allowed."""
    plain = source(repo)
    if not any(plain == one or plain.startswith(f"{one}/") for one in allowed):
        raise BadLink(Wrong.NOT_ALLOWED)
    if branch and not _is_branch(branch):
        raise BadLink(Wrong.BRANCH)
    found = Assignment(plain, branch, _file(path))
    if found.folder in ("", ".", "..") or found.folder.startswith("."):
        raise BadLink(Wrong.NO_REPO)
    if len(found.notebook_path) > LINK_MAX:
        raise BadLink(Wrong.TOO_LONG)
    return found


def source(address: str) -> str:
    """A repository's address, or the beginning of many, written in one way. Raises BadLink."""
    plain = address.strip()
    if _BAD_IN_FILE.search(plain):
        raise BadLink(Wrong.NO_REPO)  # the parser would leave line ends out
    try:
        parts = urlsplit(plain)
        port = parts.port
    except ValueError:
        raise BadLink(Wrong.NO_REPO) from None
    if parts.scheme != "https":
        raise BadLink(Wrong.NOT_HTTPS)
    host, path = (parts.hostname or ""), parts.path.rstrip("/")
    unusual = parts.username or parts.password or port or parts.query or parts.fragment
    if unusual or not _HOST.fullmatch(host) or "." not in host or (path and not _REPO_PATH.fullmatch(path)):
        raise BadLink(Wrong.NO_REPO)
    return f"https://{host}{path}"


def pulled_repo_allowed(asked: dict[str, list[str]], allowed: Iterable[str]) -> bool:
    """Whether a pull that an address asks for is one that a link of ours could ask for."""
    try:
        assignment(asked.get("repo", [""])[0], asked.get("branch", [""])[0], "", allowed=allowed)
    except BadLink:
        return False
    return all(len(values) == 1 for values in asked.values())


def _is_branch(name: str) -> bool:
    strange = ".." in name or "//" in name or name.endswith((".lock", "/", "."))
    return bool(_BRANCH.fullmatch(name)) and not strange


def _file(path: str) -> str:
    plain = path.strip("/")
    words = plain.split("/")
    if _BAD_IN_FILE.search(plain) or any(word in ("", ".", "..") for word in words if plain):
        raise BadLink(Wrong.PATH)
    return plain
