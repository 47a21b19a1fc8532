"""Codes come in: each once, whichever batch, file or format brought it; lists never name a code."""

from courses.models import User
from credits.codes import Problem
from credits.models import CodeBatch, CodeEvent, CreditCode
from credits.stock import Added, add_codes
from tests.conftest import Cast
from tests.credits.conftest import NOW, code_text, make_batch


def _add(batch: CodeBatch, lines: list[str], who: User | None = None) -> Added:
    return add_codes(batch, enumerate(lines, start=1), who=who, now=NOW)


def test_every_line_is_in_exactly_one_list(cast: Cast, batch: CodeBatch) -> None:
    lines = ["NEWCODE00001", "  " + code_text(0) + " ", "NEWCODE00001", "", "two words", "NEWCODE00002"]
    added = _add(batch, lines, cast.instructor.user)
    assert [line.number for line in added.new] == [1, 6]
    assert [line.number for line in added.known] == [2, 3]
    assert [(line.number, line.problem) for line in added.problems] == [(4, Problem.EMPTY), (5, Problem.SPACE)]
    assert batch.codes.count() == 5


def test_a_code_known_from_another_batch_does_not_come_in_twice(cast: Cast, batch: CodeBatch) -> None:
    other = make_batch(cast.other_course, codes=0)
    added = _add(other, [code_text(1)])
    assert not added.new
    assert len(added.known) == 1


def test_the_same_lines_again_change_nothing(batch: CodeBatch) -> None:
    before = list(CreditCode.objects.values_list("pk", "ciphertext"))
    added = _add(batch, [code_text(n) for n in range(3)])
    assert (len(added.new), len(added.known)) == (0, 3)
    assert list(CreditCode.objects.values_list("pk", "ciphertext")) == before


def test_each_new_code_has_its_event_and_no_list_holds_its_text(cast: Cast, batch: CodeBatch) -> None:
    added = _add(batch, ["SECRETCODE77"], cast.instructor.user)
    event = CodeEvent.objects.get(code__last4="DE77")
    assert (event.verb, event.who, event.at) == ("imported", cast.instructor.user, NOW)
    code = event.code
    for shown in (added, code, event, code.__dict__, event.__dict__):
        assert "SECRETCODE77" not in repr(shown) + str(shown)


def test_ten_thousand_lines_fit_through_sqlites_bounds(cast: Cast) -> None:
    batch = make_batch(cast.course, codes=0)
    lines = [code_text(n) for n in range(10_000)]
    assert len(_add(batch, lines).new) == 10_000
    assert len(_add(batch, lines).known) == 10_000
