"""Names come out as people write them, in any script; addresses are addresses or nothing."""

import pytest

from courses.names import address_in, full_name, is_address, plain


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Lovelace, Ada", "Ada Lovelace"),
        ("  Lovelace ,  Ada  Augusta ", "Ada Augusta Lovelace"),
        ("Ada Lovelace", "Ada Lovelace"),
        ("King, Martin, Jr.", "Martin King Jr."),
        ("King Jr., Martin", "Martin King Jr."),
        ("Sammy Davis, Jr.", "Sammy Davis Jr."),
        ("王, 小明", "小明 王"),
        ("王，小明", "小明 王"),
        ("王小明", "王小明"),
        ("Ibáñez, José María", "José María Ibáñez"),
        ("الحداد, ليلى", "ليلى الحداد"),
        ("a, b, c", "a, b, c"),
        (",", ""),
        ("Cher", "Cher"),
        ("Jose\u0301", "José"),
        ("Ada\u202e ecalevoL", "Ada ecalevoL"),
        ("Ada\r\nLovelace", "Ada Lovelace"),
        ("'=1+1", "=1+1"),
        ("O'Neil, Shaq", "Shaq O'Neil"),
        ("\ufeffAda", "Ada"),
    ],
)
def test_a_name_is_read_as_people_write_it(written: str, read: str) -> None:
    assert full_name(written) == read


@pytest.mark.parametrize(
    ("cell", "address", "name"),
    [
        ("ADA@X.EDU", "ada@x.edu", ""),
        ("Ada Lovelace <ada@x.edu>", "ada@x.edu", "Ada Lovelace"),
        ('"Lovelace, Ada" <ada@x.edu>', "ada@x.edu", "Lovelace, Ada"),
        ("mailto:ada@x.edu", "ada@x.edu", ""),
        ("ada@x.edu;", "ada@x.edu", ""),
    ],
)
def test_an_address_is_found_with_the_name_before_it(cell: str, address: str, name: str) -> None:
    assert address_in(cell) == (address, name)
    assert is_address(address)


@pytest.mark.parametrize(
    "text", ["ada", "ada@", "@x.edu", "ada@x", "a b@x.edu", "ada@x..edu", "ada@-x.edu", "a" * 250 + "@x.edu", "n/a"]
)
def test_what_is_no_address_is_none(text: str) -> None:
    assert not is_address(text)


def test_a_plain_cell_is_one_line_of_visible_characters() -> None:
    assert plain("a\x00b\tc\u2028d\u200b") == "a b c d\u200b"
