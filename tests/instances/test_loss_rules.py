"""When an account may be given up, and up to which second its machines are counted."""

from datetime import UTC, datetime, timedelta

import pytest

from instances.loss_rules import LOOKED_WITHIN, LOST_AFTER, Not, Shut, counted_until, lost_from, why_not

NOW = datetime(2019, 3, 5, 12, tzinfo=UTC)
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)


def shut(since: datetime | None, **other: datetime | None) -> Shut:
    return Shut(**{"since": since, "looked_at": NOW, "aws_seen_at": NOW, **other})


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        (shut(NOW - LOST_AFTER), None),
        (shut(NOW - LOST_AFTER + SECOND), Not.EARLY),
        (shut(NOW), Not.EARLY),
        (shut(None), Not.OPEN),
        # A worker that died a week ago, after one failed look, knows nothing; nor does a portal without a network.
        (shut(NOW - LOST_AFTER, looked_at=NOW - LOOKED_WITHIN - SECOND), Not.BLIND),
        (shut(NOW - LOST_AFTER, looked_at=None), Not.BLIND),
        (shut(NOW - LOST_AFTER, aws_seen_at=NOW - LOOKED_WITHIN - SECOND), Not.BLIND),
        (shut(NOW - LOST_AFTER, aws_seen_at=None), Not.BLIND),
    ],
)
def test_it_is_given_up_after_a_week_in_which_the_portal_saw_that_it_was_shut(facts: Shut, why: Not | None) -> None:
    assert why_not(facts, NOW) is why


def test_the_first_moment_is_the_one_that_is_told() -> None:
    since = NOW - 2 * LOST_AFTER
    assert why_not(shut(since), lost_from(since)) is not Not.EARLY
    assert lost_from(since) == since + timedelta(days=7)


@pytest.mark.parametrize(
    ("seen", "reported", "paid_until", "until"),
    [
        (None, None, None, NOW),  # never seen to run, and never heard: not a second
        (NOW + HOUR, None, NOW + 4 * HOUR, NOW + HOUR),
        (NOW + HOUR, NOW + 2 * HOUR, NOW + 4 * HOUR, NOW + 2 * HOUR),  # its agent spoke on while the account was shut
        (NOW + 2 * HOUR, NOW + HOUR, NOW + 4 * HOUR, NOW + 2 * HOUR),
        (NOW + HOUR, NOW + 9 * HOUR, NOW + 4 * HOUR, NOW + 4 * HOUR),  # whoever took AWS's timer away pays for it
        (NOW + 5 * HOUR, NOW + 9 * HOUR, NOW + 4 * HOUR, NOW + 5 * HOUR),  # AWS said so: that counts whole
        (None, NOW - HOUR, None, NOW),
    ],
)
def test_it_is_counted_until_it_was_last_seen_alive_and_reports_count_as_far_as_was_paid(
    seen: datetime | None, reported: datetime | None, paid_until: datetime | None, until: datetime
) -> None:
    assert counted_until(NOW, seen, reported, paid_until) == until
