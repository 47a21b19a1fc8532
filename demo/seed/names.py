"""Invented people: every name is put together by chance from lists, in the script that its owner would write it in."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from demo.people import DOMAIN


@dataclass(frozen=True, slots=True)
class Invented:
    name: str
    email: str


@dataclass(frozen=True, slots=True)
class _Language:
    """Names as `written/ascii`; `pattern` says in which order they are written."""

    share: int
    given: str
    family: str
    pattern: str = "{given} {family}"


_LANGUAGES = (
    _Language(
        30,
        "Amelia Noah Grace Ethan Chloe Marcus Olivia Tyler Hannah Devin Naomi Caleb Priya Jordan Elena Trevor",
        "Whitfield Brannock Okafor Delgado Hargrove Castellan Winslow Paredes Ashdown Ferris Quintana Lockhart",
    ),
    _Language(
        20,
        "晓雨/xiaoyu 子轩/zixuan 思源/siyuan 雨桐/yutong 浩然/haoran 若曦/ruoxi 明哲/mingzhe 静怡/jingyi",
        "林/lin 陈/chen 赵/zhao 周/zhou 何/he 郭/guo 沈/shen 韩/han",
        "{family}{given}",
    ),
    _Language(
        9,
        "서준/seojun 지우/jiwoo 하은/haeun 민재/minjae 수아/sua 도윤/doyun",
        "강/kang 윤/yoon 한/han 오/oh 신/shin",
        "{family}{given}",
    ),
    _Language(
        9,
        "Aarav Ishita Rohan Kavya Vikram Ananya Nikhil Meera",
        "Deshpande Raghunathan Chaudhary Bhattacharjee Iyengar Malhotra",
    ),
    _Language(
        7,
        "Léa Étienne Zoé François Camille Jérôme",
        "Delacroix Béranger Moulinard Côté Vasseur",
    ),
    _Language(7, "Sofía Andrés Lucía Joaquín Inés Mateo", "Ibáñez Peñaloza Zúñiga Carrión Echeverría"),
    _Language(
        5,
        "陽菜/haruna 蓮/ren 結衣/yui 大翔/hiroto",
        "水野/mizuno 桜井/sakurai 森川/morikawa 早瀬/hayase",
        "{family} {given}",
    ),
    _Language(
        4,
        "Ольга/olga Дмитрий/dmitri Анна/anna Тимур/timur",
        "Соколенко/sokolenko Шевчик/shevchik Лемеш/lemesh Дубрава/dubrava",
    ),
    _Language(3, "ليلى/layla يوسف/yousef نور/nour كريم/karim", "الحداد/alhaddad منصور/mansour الخطيب/alkhatib"),
    _Language(3, "Ayşe Emre Zeynep Mert", "Yıldırım Özdemir Kılıç"),
    _Language(3, "Minh Thảo Quang Hương", "Nguyễn Đặng Phạm"),
)
_PLAIN = str.maketrans(
    "éèêëÉáàãảạăâóôõöøúùüůñíìïıçćčşśğłńžżýÿđĐŽŚŞÇÖÜÑÍÓÁễặạảươễ",
    "eeeeEaaaaaaaooooouuuuniiiicccssglnzzyydDZSSCOUNIOAeaaauoe",
)


def _ascii(text: str) -> str:
    """The part after `/`, or the letters without their marks: what a university would make a login of."""
    plain = text.partition("/")[2] or text.translate(_PLAIN)
    return "".join(char for char in plain.lower() if char.isascii() and char.isalpha())


def invent(rng: random.Random, taken: set[str]) -> Iterator[Invented]:
    """People without end. `taken` holds the names and addresses already in use, and grows."""
    while True:
        language = rng.choices(_LANGUAGES, [one.share for one in _LANGUAGES])[0]
        given, family = rng.choice(language.given.split()), rng.choice(language.family.split())
        name = language.pattern.format(given=given.partition("/")[0], family=family.partition("/")[0])
        email = f"{_ascii(given)}.{_ascii(family)}@{DOMAIN}"
        if name not in taken and email not in taken:
            taken |= {name, email}
            yield Invented(name, email)
