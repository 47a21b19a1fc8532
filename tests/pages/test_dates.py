"""How dates are written: each language in its own order, in one place, and no page spells an order of its own."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path

import pytest
from django.urls import reverse
from django.utils import translation
from django.utils.formats import date_format

from portal.sections import SECTIONS
from spend.models import Alarm
from tests.instances.conftest import Stage
from tests.pages.conftest import signed_in
from tests.pages.test_course_home import text_of

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("portal", "instances", "spend", "credits", "courses")
MACHINES = {"c", "U", "Y-m-d", "Ymd"}  # for scripts, inputs and file names: the same in every language
IN_TEMPLATES = re.compile(r"""\|(?:date|time):(["'])(.*?)\1""")
IN_CODE = re.compile(r"""(?:date_format|time_format)\((?:[^()]|\([^()]*\))*\)""")
WORDS = re.compile(r"""(["'])(.*?)\1""")
MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
ENGLISH = re.compile(rf"\b\d{{1,2}} (?:{MONTHS})|\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) \d")
ENGLISH_ORDER = re.compile(r"\d{1,2} [一二三四五六七八九十\d]+月(?!\d)")
NOVEMBER = datetime(2026, 11, 26, 18, 40, tzinfo=UTC)


def formats_of(language: str) -> dict[str, str]:
    found = vars(import_module(f"portal.formats.{language}.formats"))
    return {name: value for name, value in found.items() if name.endswith("_FORMAT")}


def spelled() -> Iterator[tuple[str, str]]:
    for path in sorted((ROOT / "templates").rglob("*.*")):
        for _quote, said in IN_TEMPLATES.findall(path.read_text()):
            yield str(path.relative_to(ROOT)), said
    for path in (found for folder in FOLDERS for found in sorted((ROOT / folder).rglob("*.py"))):
        for call in IN_CODE.findall(path.read_text()):
            for _quote, said in WORDS.findall(re.sub(r"\[[^\]]*\]", "", call)):
                yield str(path.relative_to(ROOT)), said


def test_no_page_spells_an_order_of_its_own() -> None:
    found = list(spelled())
    assert len(found) > 60
    assert [one for one in found if one[1] not in MACHINES and one[1] not in formats_of("en")] == []


def test_every_language_has_every_format() -> None:
    assert formats_of("zh_Hans").keys() == formats_of("en").keys()


def test_each_reads_as_its_readers_write_it() -> None:
    with translation.override("en"):
        assert date_format(NOVEMBER, "WEEKDAY_TIME_FORMAT") == "Thu 26 Nov, 18:40"
    with translation.override("zh-hans"):
        assert date_format(NOVEMBER, "DATE_FORMAT") == "2026年11月26日"
        assert date_format(NOVEMBER, "WEEKDAY_TIME_FORMAT") == "11月26日 星期四 18:40"


@pytest.mark.parametrize("name", formats_of("en"))
def test_in_chinese_the_day_never_comes_before_the_month(name: str) -> None:
    with translation.override("zh-hans"):
        said = date_format(NOVEMBER, name)
    assert not ENGLISH_ORDER.search(said), said


def test_the_search_finds_what_it_is_for() -> None:
    with translation.override("zh-hans"):
        assert ENGLISH_ORDER.search(date_format(NOVEMBER, "j M Y"))
    with translation.override("en"):
        assert ENGLISH.search(date_format(NOVEMBER, "D j M"))


@pytest.fixture
def lively(today: Stage) -> Stage:
    """Somebody has spent on earlier days, something stopped yesterday, and an alarm went off."""
    row = today.stop(today.running())
    today.later(60)
    today.repair()
    row.refresh_from_db()
    before = today.now - timedelta(days=9)
    type(row).objects.filter(pk=row.pk).update(state_since=before, created_at=before)
    row.events.update(at=before)
    Alarm.objects.filter(course=today.cast.course).update(raised_at=before)
    return today


def chinese(user: object, name: str, *args: object) -> str:
    with translation.override("zh-hans"):
        answer = signed_in(user).get(reverse(name, args=args))  # type: ignore[arg-type]
        assert answer.status_code == 200, name
        return text_of(answer.content.decode())


def test_no_staff_page_in_chinese_writes_an_english_date(lively: Stage) -> None:
    course, user = lively.cast.course, lively.cast.instructor.user
    for page in (page for section in SECTIONS for page in section.pages):
        said = chinese(user, page.name, course.slug)
        wrong = ENGLISH.findall(said) + ENGLISH_ORDER.findall(said)
        assert wrong == [], page.name


def test_no_student_page_in_chinese_writes_an_english_date(lively: Stage) -> None:
    row = lively.launch(lively.cast.other_student)
    for owner in (lively.cast.student, lively.cast.other_student):
        machine = owner.instances.get()
        said = "".join(
            (
                chinese(owner.user, "course_home", owner.course.slug),
                chinese(owner.user, "machine", machine.slug),
                chinese(owner.user, "me"),
                chinese(owner.user, "launch", owner.course.slug, lively.preset.slug),
            )
        )
        assert ENGLISH.findall(said) + ENGLISH_ORDER.findall(said) == []
    assert "月" in said
    assert row
