"""Secrets at rest: what is sealed opens again, also after a new key; a changed or foreign one does not."""

import pytest
from cryptography.fernet import Fernet
from django.conf import settings
from pytest_django.fixtures import Settings

from credits import vault

CODE = "PC1ABCDEFGHIJ234"


def test_the_demo_key_is_a_real_fernet_key_so_that_make_run_can_start() -> None:
    for key in settings.CODE_KEYS:
        Fernet(key)


def test_what_is_sealed_opens_again_and_shows_nothing_of_the_text() -> None:
    sealed = vault.seal(CODE)
    assert vault.unseal(sealed) == CODE
    assert CODE not in sealed
    assert vault.seal(CODE) != sealed  # equal codes are not to be seen from the table


def test_any_text_survives() -> None:
    for text in ("a", "é漢字 ", "x" * 256):
        assert vault.unseal(vault.seal(text)) == text


def test_a_new_key_in_front_keeps_old_rows_readable_and_reseal_moves_them_over(settings: Settings) -> None:
    old_key, new_key = settings.CODE_KEYS[0], Fernet.generate_key().decode()
    sealed = vault.seal(CODE)
    settings.CODE_KEYS = [new_key, old_key]
    moved = vault.reseal(sealed)
    settings.CODE_KEYS = [new_key]
    assert vault.unseal(moved) == CODE
    with pytest.raises(vault.WrongKey) as caught:
        vault.unseal(sealed)
    assert sealed not in str(caught.value)


def test_a_changed_ciphertext_is_refused() -> None:
    sealed = vault.seal(CODE)
    for broken in (sealed[:-4] + "AAAA", "", "not a token", "é"):
        with pytest.raises(vault.WrongKey):
            vault.unseal(broken)


def test_the_fingerprint_is_the_same_for_the_same_code_only_and_depends_on_the_key(settings: Settings) -> None:
    first = vault.fingerprint(CODE)
    assert first == vault.fingerprint(CODE)
    assert len(first) == 64
    assert first != vault.fingerprint(CODE.lower())  # codes are case-sensitive
    settings.CODE_HASH_KEY = "another"
    assert first != vault.fingerprint(CODE)
