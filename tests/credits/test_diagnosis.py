"""Why a code is not accepted: messages as AWS writes them are recognised, and staff's words stand above ours."""

from dataclasses import replace
from datetime import timedelta

import pytest

from credits.diagnosis import LOUD, cause_of, causes_of, change_cause, diagnose, loud_causes, shipped_again
from credits.models import FailedReport, RedemptionCause
from credits.signals import Cause, fits, normal, recognised
from tests.conftest import Cast
from tests.credits.conftest import NOW, make_batch

# As people paste them: with the page around, in other case, with their own numbers.
MESSAGES = {
    "mistyped": "Error!\nWe were unable to redeem the credit you entered. Please check the code and try again.",
    "used": "Attempting to redeem a promotion code that has already been redeemed : XXXXXXXX",
    "one-per-account": (
        "The account 123456789012 exceeds the limit of 1 for maximum number of codes currently redeemed per account."
    ),
    "other-programme": "Enter this in your AWS Educate application",
    "expired": "This promotion code has expired.",
    "no-permission": ("User: arn:aws:iam::123456789012:user/ada is not authorized to perform: billing:RedeemCredits"),
    "account-not-ready": "PendingVerification: Your request for accessing resources in this region is being validated",
    "organisation": "Your account is a member account. Contact the management account.",
    "other-seller": "Your account is managed by AWS India (AISPL).",
    "free-plan": "This is not available on the free plan. Upgrade your plan to continue.",
    "not-on-bill": "I redeemed it but the bill is not zero",
}


@pytest.mark.parametrize("key", MESSAGES)
def test_a_message_leads_to_its_cause_first(cast: Cast, key: str) -> None:
    assert diagnose(cast.course, MESSAGES[key])[0].key == key


def test_every_shipped_cause_says_what_it_is_and_what_to_do(cast: Cast) -> None:
    causes = causes_of(cast.course)
    assert {cause.key for cause in causes} == {*MESSAGES, "unknown", "other"}
    assert all(cause.title and cause.answer and cause.next_step for cause in causes)
    assert all(cause.outcome in RedemptionCause.Outcome.values for cause in causes)


def test_words_that_say_nothing_lead_nowhere(cast: Cast) -> None:
    assert diagnose(cast.course, "help it does not work!!") == []
    assert diagnose(cast.course, "") == []


def test_a_star_stands_for_what_differs_but_not_for_a_whole_page() -> None:
    assert fits("account * exceeds", normal("The account 1234 exceeds"))
    assert fits("a * b", normal("a x. a b"))
    assert not fits("account * exceeds", normal(f"The account {'x ' * 100} exceeds"))
    assert not fits("exceeds * account", normal("The account 1234 exceeds"))
    assert not fits("*", normal("anything"))


def test_hostile_phrases_and_messages_end_quickly() -> None:
    phrase = "a * " * 50 + "b"
    cause = Cause("x", "x", (phrase,), "", "", "ask")
    assert recognised("a " * 5000, [cause]) == []


def test_what_happened_most_here_comes_first_and_something_else_last(cast: Cast) -> None:
    _reported(cast, "free-plan", 2)
    _reported(cast, "other", 5, first=50)
    keys = [cause.key for cause in causes_of(cast.course)]
    assert (keys[0], keys[-1]) == ("free-plan", "other")
    assert causes_of(cast.other_course)[0].key == "mistyped"


def test_staff_change_a_cause_for_their_course_alone_and_take_it_back(cast: Cast) -> None:
    used = cause_of(cast.course, "used")
    assert used is not None
    ours = replace(used, answer="Ask in the forum.", signals=("been taken",), outcome="staff")
    change_cause(cast.course, ours, who=cast.ta.user, now=NOW)
    changed = cause_of(cast.course, "used")
    assert changed is not None
    assert (changed.answer, changed.outcome) == ("Ask in the forum.", "staff")
    assert [cause.key for cause in diagnose(cast.course, "it has been taken")] == ["used"]
    assert cause_of(cast.other_course, "used") == used
    assert shipped_again(cast.course, "used")
    assert cause_of(cast.course, "used") == used


def test_a_cause_of_the_installation_yields_to_the_courses_and_can_be_hidden(cast: Cast) -> None:
    own = Cause("vpn", "The campus VPN is off", ("network error",), "Switch it on.", "Try again.", "ask")
    change_cause(None, own, who=None, now=NOW)
    change_cause(cast.course, own, enabled=False, who=cast.ta.user, now=NOW)
    assert cause_of(cast.course, "vpn") is None
    assert cause_of(cast.other_course, "vpn") == own


def test_an_outcome_that_is_none_is_refused(cast: Cast) -> None:
    with pytest.raises(ValueError, match="shrug"):
        change_cause(cast.course, Cause("x", "x", (), "x", "", "shrug"), who=None, now=NOW)


def test_the_tenth_report_of_one_cause_is_loud(cast: Cast) -> None:
    _reported(cast, "expired", LOUD - 1)
    assert loud_causes(cast.course) == []
    _reported(cast, "expired", 1, first=90)
    (loud,) = loud_causes(cast.course)
    assert (loud.cause.key, loud.cause.seen, loud.people) == ("expired", LOUD, 1)
    assert loud_causes(cast.other_course) == []


def _reported(cast: Cast, key: str, times: int, first: int = 0) -> None:
    codes = make_batch(cast.course, times, first=first).codes.all()
    FailedReport.objects.bulk_create(
        FailedReport(
            code=code,
            course=cast.course,
            enrollment=cast.student,
            cause=key,
            status="closed",
            at=NOW + timedelta(days=1),
        )
        for code in codes
    )
