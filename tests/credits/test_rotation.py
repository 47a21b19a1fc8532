"""A new key in front, all secrets sealed anew, the old key gone: and every one still opens."""

import io
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command

from credits import rotation, vault
from credits.models import CodeBatch, CreditCode
from credits.rotation import Rotated, rotate
from tests.conftest import Cast
from tests.credits.conftest import code_text, make_batch


@pytest.fixture
def keys(settings: Any) -> tuple[str, str]:
    """The old one alone is in use; all codes of the test are sealed with it."""
    new, old = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    settings.CODE_KEYS = [old]
    return new, old


def texts() -> list[str]:
    return [vault.unseal(code.ciphertext) for code in CreditCode.objects.order_by("pk")]


def test_after_the_rotation_the_old_key_can_go(cast: Cast, keys: tuple[str, str], settings: Any) -> None:
    new, old = keys
    make_batch(cast.course, 7)
    settings.CODE_KEYS = [new, old]
    out = io.StringIO()
    call_command("rotate_code_keys", stdout=out)
    assert "AWS codes: 7 sealed anew" in out.getvalue()
    settings.CODE_KEYS = [new]
    assert texts() == [code_text(number) for number in range(7)]


def test_broken_off_and_said_again_it_goes_on(
    cast: Cast, keys: tuple[str, str], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "CHUNK", 2)
    make_batch(cast.course, 7)
    settings.CODE_KEYS = list(keys)

    def power_cut(done: Rotated) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rotate(CreditCode.objects.all(), "ciphertext", power_cut)
    done = rotate(CreditCode.objects.all(), "ciphertext")
    assert (done.resealed, done.current) == (5, 2)
    again = rotate(CreditCode.objects.all(), "ciphertext")
    assert (again.resealed, again.current) == (0, 7)


def test_codes_of_a_key_that_is_missing_are_told_and_left_alone(
    cast: Cast, keys: tuple[str, str], settings: Any
) -> None:
    batch: CodeBatch = make_batch(cast.course, 1)
    before = batch.codes.get().ciphertext
    settings.CODE_KEYS = [keys[0]]
    with pytest.raises(CommandError):
        call_command("rotate_code_keys", stdout=io.StringIO())
    assert batch.codes.get().ciphertext == before
