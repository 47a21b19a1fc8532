"""Every address, told what no page of ours ever sends: a refusal in words, never a broken page."""

from tests.access.conftest import As
from tests.access.matrix import ROLES, Row
from tests.access.test_matrix import answers, url, with_method
from tests.access.world import World

# What doors read by themselves, without a form of Django's; all at once.
NAMES = (
    *("act", "amount", "answer", "batch", "cause", "chosen", "code", "decision", "gone", "hours", "how", "image_id"),
    *("kind", "message", "name", "next", "note", "people", "percents", "place", "preset", "rank", "reason", "seed"),
    *("step", "task", "vcpus", "verb", "week", "what", "why", "words"),
)
ASKING = (
    *("audit", "course_audit", "spend", "spend_rows", "money_rows", "credits_batch", "preflight", "open_homework"),
    "spend_report",
)
DIGITS = "9" * 5000  # no number of any row, and too long for a reason


def test_no_text_breaks_a_button(world: World, as_: As) -> None:
    """Beside what the row needs, so that its first check does not keep the rest from being read."""
    browsers = {role: as_(role) for role in ROLES}

    def asked(name: str, row: Row) -> int:
        role = "instructor" if "instructor" in row.allowed else min(row.allowed - {"signed_out"}, key=ROLES.index)
        browser = as_(role) if "out" in name else browsers[role]
        return browser.post(url(name, world), {**dict.fromkeys(NAMES, DIGITS), **row.data}).status_code

    found = answers(world, with_method("POST"), asked)
    assert {name: status for name, status in found.items() if status >= 500} == {}


def test_no_address_breaks_a_page(world: World, as_: As) -> None:
    names = ("after", "batch", "before", "find", "first", "kind", "page", "person", "share", "status", "team", "week")
    rows = {name: row for name, row in with_method("GET").items() if name in ASKING}
    assert len(rows) == len(ASKING)
    operator, instructor = as_("operator"), as_("instructor")

    def asked(name: str, row: Row) -> int:
        browser = operator if name == "audit" else instructor
        return browser.get(url(name, world), dict.fromkeys(names, DIGITS)).status_code

    assert {name: status for name, status in answers(world, rows, asked).items() if status >= 500} == {}


def test_a_nul_is_refused_before_any_door_is_opened(world: World, as_: As) -> None:
    """PostgreSQL takes none."""
    assert as_("instructor").post("/c/dl19/staff/halt/", {"why": "a\0b"}).status_code == 400
    assert as_("instructor").get("/c/dl19/staff/audit/?person=a%00b").status_code == 400
    assert as_("instructor").get("/c/dl19/staff/audit/?a%00b=1").status_code == 400
