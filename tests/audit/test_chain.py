"""What happened is in the audit once, and stays as it was written: whatever is done to it afterwards shows."""

import logging
from datetime import timedelta
from functools import partial

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from courses import audit
from courses.audit import AppendOnly, Kind
from courses.models import AuditCursor, AuditEntry, AuditHead, AuditNote
from credits.models import CodeEvent
from portal import auditing
from portal.audit_check import head
from portal.audit_sources import SOURCES
from spend.models import MoneyMove
from tests.audit.conftest import Tamper, problems
from tests.conftest import Cast
from tests.pages.credits.conftest import Shop
from tests.race import race


def write(cast: Cast, what: str = "looked", **more: object) -> AuditNote:
    return audit.note(what, kind=Kind.LOOK, who=cast.ta.user, about=cast.student, now=timezone.now(), **more)


def test_everything_that_happened_is_there_once_in_the_order_in_which_it_happened(audited: Shop) -> None:
    there = {(e.source, e.source_pk) for e in AuditEntry.objects.all()}
    assert there == {(s.name, row.pk) for s in SOURCES for row in s.rows()}
    assert {s for s, _pk in there} >= {"money", "code", "machine"}
    moments = list(AuditEntry.objects.values_list("at", flat=True))
    assert moments == sorted(moments)
    assert problems() == []
    assert auditing.collect(timezone.now()) == 0


def test_an_entry_says_who_when_what_why_and_from_where(audited: Shop) -> None:
    shown = AuditEntry.objects.get(kind=Kind.REVEAL, who=audited.stage.cast.student.user)
    assert (shown.what, shown.address, shown.course) == ("revealed", "192.0.2.1", audited.stage.cast.course)
    assert shown.facts["code"] == audited.code.pk
    granted = AuditEntry.objects.filter(source="money", what="grant", about=audited.stage.cast.student).get()
    assert (granted.why, granted.facts["usd"]) == ("start of term", "100.000000")


@pytest.mark.parametrize(
    ("what", "sql"),
    [
        ("an amount", 'UPDATE courses_auditentry SET facts = \'{"usd": "1"}\' WHERE number = 3'),
        ("a person", "UPDATE courses_auditentry SET who_id = NULL WHERE who_id IS NOT NULL"),
        ("a reason", "UPDATE courses_auditentry SET why = 'another' WHERE number = 4"),
        ("an address", "UPDATE courses_auditentry SET address = '198.51.100.1' WHERE number = 4"),
        ("one in the middle", "DELETE FROM courses_auditentry WHERE number = 5"),
        ("the end", "DELETE FROM courses_auditentry WHERE number = (SELECT max(number) FROM courses_auditentry)"),
        ("all of it", "DELETE FROM courses_auditentry"),
        (
            "one that never was",
            "INSERT INTO courses_auditentry (number, kind, what, facts, at, why, subject, source, source_pk, "
            "recorded_at, salt, sealed, digest) SELECT max(number) + 1, 'money', 'grant', '{}', max(at), '', '', "
            "'money', 987654, max(at), '', '', '' FROM courses_auditentry",
        ),
    ],
)
def test_whatever_is_changed_in_it_shows(audited: Shop, tamper: Tamper, what: str, sql: str) -> None:
    tamper(sql)
    assert problems(), what
    with pytest.raises(CommandError, match="was changed"):
        call_command("verify_audit")


def test_a_new_chain_by_somebody_without_the_key_shows(audited: Shop, tamper: Tamper) -> None:
    """The whole chain computed anew after an edit, with all that the database holds."""
    tamper("UPDATE courses_auditentry SET what = 'release' WHERE number = 1")
    before, lines = "0" * 64, []
    for entry in AuditEntry.objects.order_by("number"):
        entry.digest = auditing.chain.digest(b"a guess", before, auditing.facts_of(entry))
        lines.append((before := entry.digest, entry.number))
    for digest, number in lines:
        tamper(f"UPDATE courses_auditentry SET digest = '{digest}' WHERE number = {number}")
    AuditHead.objects.update(digest=before)
    assert len(problems()) >= len(lines)


def test_a_source_that_is_edited_taken_out_or_added_behind_its_back_shows(audited: Shop) -> None:
    auditing.collect(timezone.now() + timedelta(hours=2))  # what is there by now is settled
    move = MoneyMove.objects.filter(kind="grant").first()
    assert move
    MoneyMove.objects.filter(pk=move.pk).update(amount_usd=1)
    shown = CodeEvent.objects.filter(verb="revealed").first()
    assert shown
    CodeEvent.objects.filter(pk=shown.pk).delete()
    AuditCursor.objects.filter(source="batch").update(upto=10**6)
    assert [p.partition(": ")[2] for p in problems()] == [
        f"money {move.pk} was edited since.",
        f"code {shown.pk} is gone.",
    ]


def test_a_row_slipped_in_among_settled_ones_shows(audited: Shop) -> None:
    auditing.collect(timezone.now() + timedelta(hours=2))
    upto = AuditCursor.objects.get(source="money").upto
    move = MoneyMove.objects.get(pk=upto)
    move.pk = -1
    move.save(force_insert=True)
    assert problems() == ["money -1 has no entry: it was added later, or its entry was taken out."]


def test_the_chains_end_cannot_be_cut_off_unseen_by_who_noted_it(audited: Shop, tamper: Tamper) -> None:
    number, digest = head()
    call_command("verify_audit", head=f"{number}:{digest}")
    last = AuditEntry.objects.get(number=number)
    before = AuditEntry.objects.get(number=number - 1)
    tamper(f"DELETE FROM courses_auditentry WHERE number = {number}")
    AuditHead.objects.update(number=before.number, digest=before.digest)
    next(s for s in SOURCES if s.name == last.source).rows().filter(pk=last.source_pk)._raw_delete(last._state.db)
    assert problems() == []  # the trace is gone from this database
    with pytest.raises(CommandError, match="was changed"):
        call_command("verify_audit", head=f"{number}:{digest}")


def test_neither_the_application_nor_the_database_edits_or_deletes_an_entry(audited: Shop) -> None:
    entry = AuditEntry.objects.get(number=1)
    for forbidden in (entry.save, entry.delete, AuditEntry.objects.all().delete, partial(_edit, entry)):
        with pytest.raises(AppendOnly):
            forbidden()
    for sql in ("UPDATE courses_auditentry SET what = 'x'", "DELETE FROM courses_auditentry"):
        with pytest.raises(IntegrityError, match="only ever added"), transaction.atomic():
            connection.cursor().execute(sql)
    # Forgetting may not take anything else along.
    with pytest.raises(IntegrityError, match="only ever added"), transaction.atomic():
        connection.cursor().execute(
            "UPDATE courses_auditentry SET why='', subject='', salt='', address=NULL, erased_at=at, what='x'"
        )
    assert problems() == []


def _edit(entry: AuditEntry) -> None:
    AuditEntry.objects.filter(pk=entry.pk).update(what="x")


def test_what_is_personal_can_be_forgotten_and_the_chain_still_holds(audited: Shop) -> None:
    shown = AuditEntry.objects.filter(kind=Kind.REVEAL)
    assert shown.erase(timezone.now()) == 2
    assert set(shown.values_list("why", "address", "subject", "salt")) == {("", None, "", "")}
    assert shown.erase(timezone.now()) == 0
    assert problems() == []
    with pytest.raises(IntegrityError), transaction.atomic():  # and nothing new can be written into it
        connection.cursor().execute("UPDATE courses_auditentry SET why='x' WHERE erased_at IS NOT NULL")


def test_a_row_of_a_transaction_that_ends_late_is_still_read(cast: Cast) -> None:
    """A smaller number that is there only after a larger one: a mark at the largest would pass over it."""
    early, late = write(cast, "early"), write(cast, "late")
    AuditNote.objects.filter(pk=early.pk)._raw_delete("default")
    now = timezone.now()
    assert auditing.collect(now) == 1
    early._state.adding = True
    early.save()
    assert auditing.collect(now + timedelta(minutes=59)) == 1
    auditing.collect(now + timedelta(hours=2))
    assert AuditCursor.objects.get(source="note").upto == late.pk
    assert list(AuditEntry.objects.values_list("what", flat=True)) == ["late", "early"]


def test_a_round_is_bounded_and_the_next_one_goes_on(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditing, "MOST", 3)
    monkeypatch.setattr(auditing, "ROUNDS", 2)
    for n in range(10):
        write(cast, f"n{n}")
    assert [auditing.collect(timezone.now()) for _n in range(3)] == [6, 4, 0]
    assert problems() == []


def test_a_row_that_cannot_be_read_stops_no_other_and_is_read_when_it_can_be(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = write(cast, "bad"), write(cast, "good")

    def fails(source: object, rows: list[AuditNote]) -> list[object]:
        def read(row: AuditNote) -> object:
            if row.pk == bad.pk:
                raise ValueError("cannot")
            return SOURCES[0].read(row)

        return real(auditing.Source("note", SOURCES[0].rows, read), rows)

    real = auditing._readings
    monkeypatch.setattr(auditing, "_readings", fails)
    now = timezone.now()
    with caplog.at_level(logging.ERROR):
        assert auditing.collect(now) == 1
    assert "cannot be read" in caplog.text
    auditing.collect(now + timedelta(hours=3))
    monkeypatch.undo()
    assert auditing.collect(now + timedelta(hours=4)) == 1
    assert {e.source_pk for e in AuditEntry.objects.all()} == {bad.pk, good.pk}


def _collect(pause: bool) -> int:
    if pause:
        _forget_the_lock()
    return auditing.collect(timezone.now())


def _forget_the_lock() -> None:
    """The control: the head is read without the lock."""
    from django.db.models import QuerySet

    QuerySet.select_for_update = lambda self, **_kw: self  # type: ignore[method-assign]


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_collectors_at_once_do_no_harm(cast: Cast) -> None:
    for n in range(200):
        write(cast, f"n{n}")
    outcomes = race([partial(_collect, False)] * 4)
    assert [o.error for o in outcomes] == [None] * 4
    assert sum(o.value for o in outcomes) == 200
    assert list(AuditEntry.objects.values_list("number", flat=True)) == list(range(1, 201))
    assert problems() == []


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_control_without_the_lock_two_collectors_are_in_each_others_way(cast: Cast) -> None:
    for n in range(200):
        write(cast, f"n{n}")
    AuditHead.objects.create(pk=1, digest="0" * 64)
    AuditCursor.objects.bulk_create(AuditCursor(source=s.name) for s in SOURCES)
    outcomes = race([partial(_collect, True)] * 4)
    assert any(not o.ok for o in outcomes)  # only the database's constraints keep them from writing double
