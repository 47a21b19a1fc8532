"""The Chinese catalogue: whole placeholders, its compiled form up to date, and pages that really speak it."""

import re
from pathlib import Path

import polib
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import Client
from django.utils import translation

from portal import env
from portal.figures import usd

ROOT = Path(__file__).resolve().parents[2]
CATALOGUE = ROOT / "locale/zh_Hans/LC_MESSAGES/django.po"
PLACEHOLDER = re.compile(r"%\(\w+\)[sdf]|%%|%[sd]|\{\w*\}|</?\w+[^>]*>")


def entries() -> list[polib.POEntry]:
    return [entry for entry in polib.pofile(str(CATALOGUE)) if not entry.obsolete]


def holes(text: str) -> list[str]:
    return sorted(PLACEHOLDER.findall(text))


def test_every_placeholder_and_tag_survives_translation() -> None:
    for entry in entries():
        for text in (entry.msgstr, *entry.msgstr_plural.values()):
            assert not text or holes(text) in (holes(entry.msgid), holes(entry.msgid_plural)), entry.msgid


def test_what_is_compiled_is_what_is_written() -> None:
    written = {entry.msgid: (entry.msgstr, entry.msgstr_plural) for entry in entries() if entry.translated()}
    compiled = polib.mofile(str(CATALOGUE.with_suffix(".mo")))
    assert {entry.msgid: (entry.msgstr, entry.msgstr_plural) for entry in compiled} == written


def test_hardly_anything_is_left_in_english() -> None:
    assert polib.pofile(str(CATALOGUE)).percent_translated() >= 95


@pytest.mark.parametrize(("language", "says"), [("en", "Sign in"), ("zh-hans", "登录")])
def test_pages_speak_the_installations_language_whatever_the_browser_asks_for(
    db: None, language: str, says: str
) -> None:
    with translation.override(language):  # as the process starts with LAMPLIGHTER_LANGUAGE
        page = Client(headers={"accept-language": "de"}).get("/accounts/login/").content.decode()
    assert f'<html lang="{language}"' in page
    assert says in page


def test_a_language_that_there_is_not_ends_the_start_with_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAMPLIGHTER_LANGUAGE", "tlh")
    with pytest.raises(ImproperlyConfigured, match="must be one of en, zh-hans, not 'tlh'"):
        env.choice("LAMPLIGHTER_LANGUAGE", "en", ("en", "zh-hans"))


def test_amounts_read_the_same_in_both() -> None:
    with translation.override("zh-hans"):
        assert usd(1234) == "$1,234.00"
