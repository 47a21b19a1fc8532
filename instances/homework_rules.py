"""Which homework links are sound, and where on the machine they lead. Pure: whom to allow comes in as plain text.

What is checked here becomes arguments of `git` and an address in the student's own notebook: nothing may be read as an
option, lead out of the home directory, or name another host than the one that the staff allowed.
"""

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from instances.gateway.headers import segments

PULL_PATH = "/git-pull"  # of nbgitpuller, on each machine
PULL_API = f"{PULL_PATH}/api"  # what its page then calls
_PULLS = re.compile("/(git-pull(?!/static/)|git-sync|interact)(/|$)")  # the latter two lead to the first
_OPENS = "lab/tree/"
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
    def pull(self) -> dict[str, str]:
        """What nbgitpuller is asked for."""
        asked = {"repo": self.repo, "targetpath": self.folder}
        return asked | ({"branch": self.branch} if self.branch else {})

    @property
    def pull_and_open(self) -> dict[str, str]:
        inside = quote(f"{self.folder}/{self.path}".rstrip("/"))
        return self.pull | {"urlpath": f"{_OPENS}{inside}"}

    @property
    def notebook_path(self) -> str:
        """On the machine's own host: pulls, then opens the file in JupyterLab."""
        return f"{PULL_PATH}?{urlencode(self.pull_and_open)}"

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


def pulls(path: str) -> bool:
    """Whether nbgitpuller takes this path for a pull, once browsers have taken its dots out."""
    return bool(_PULLS.match(posixpath.normpath("/" + "/".join(segments(path)).lstrip("/"))))


def pull_allowed(path: str, query: str, allowed: Iterable[str]) -> bool:
    """Whether a link of ours asks for this pull: word for word, for each further word changes what happens.

    `targetpath` may lead to where the next kernel's start-up code lies, `urlpath` to the next pull.
    """
    asked = parse_qs(query, keep_blank_values=True)
    if ";" in query or any(len(values) > 1 for values in asked.values()):
        return False  # what is read in two ways: older servers part at ";"
    one = {name: values[0] for name, values in asked.items()}
    file = unquote(one.get("urlpath", "")).removeprefix(_OPENS).partition("/")[2]
    try:
        work = assignment(one.get("repo", ""), one.get("branch", ""), file, allowed=allowed)
    except BadLink:
        return False
    if path == PULL_API:
        one.pop("_xsrf", None)  # its page sends it along
        return one == work.pull
    return path == PULL_PATH and one == work.pull_and_open


def _is_branch(name: str) -> bool:
    strange = ".." in name or "//" in name or name.endswith((".lock", "/", "."))
    return bool(_BRANCH.fullmatch(name)) and not strange


def _file(path: str) -> str:
    plain = path.strip("/")
    words = plain.split("/")
    if _BAD_IN_FILE.search(plain) or any(word in ("", ".", "..") for word in words if plain):
        raise BadLink(Wrong.PATH)
    return plain
