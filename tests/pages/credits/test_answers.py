"""Help, failed codes, requests and help texts: each side sees what the other did, and every refusal says why."""

from django.test import Client
from django.urls import reverse

from courses.models import Enrollment
from credits.checks import check_codes
from credits.models import CourseRedemption, CreditCode, CreditRequest, Letter
from credits.tasks import redeem_for_course
from spend.models import Budget, Level
from spend.services import budget_of
from tests.conftest import Cast
from tests.credits.conftest import code_text
from tests.pages.conftest import signed_in
from tests.pages.credits.conftest import Shop, asked


def page(line: Enrollment, name: str, *ids: object) -> str:
    return signed_in(line.user).get(reverse(name, args=["dl19", *ids])).content.decode()


def post(client: Client, name: str, *ids: object, **said: object) -> str:
    answer = client.post(reverse(name, args=["dl19", *ids]), said, follow=True)
    assert answer.status_code in (200, 422)
    return answer.content.decode()


def test_a_pasted_message_is_recognised_and_never_shown_with_its_code(shop: Shop, cast: Cast) -> None:
    student = signed_in(cast.student.user)
    said = f"promotion code that has already been redeemed : {code_text(0)}"
    found = post(student, "code_help", shop.code.pk, message=said)
    assert "It sounds like this" in found
    assert code_text(0) not in found
    assert "Paste the message first" in post(student, "code_help", shop.code.pk, message=" ")


def test_help_that_helps_itself_is_noted_and_the_second_report_goes_to_staff(shop: Shop, cast: Cast) -> None:
    student = signed_in(cast.student.user)
    assert "report it once more" in post(student, "code_failed", shop.code.pk, cause="mistyped", message="no")
    assert shop.code.reports.get().status == "answered"
    assert "Staff look at it now" in post(student, "code_failed", shop.code.pk, cause="other", message="still no")
    assert "Staff look at it." in page(cast.student, "course_home")


def test_staff_answer_a_failed_code_and_its_holder_reads_it(shop: Shop, cast: Cast) -> None:
    ta = signed_in(cast.ta.user)
    refused = post(ta, "credits_report_resolve", shop.report.pk, decision="answer", why="")
    assert "Say what the student should know." in refused
    assert f'id="why-{shop.report.pk}_error"' in refused
    assert "Choose what should happen." in post(ta, "credits_report_resolve", shop.report.pk, why="x")
    post(ta, "credits_report_resolve", shop.report.pk, decision="answer", why="Use another browser")
    assert "Use another browser" in page(cast.other_student, "course_home")
    assert "Nothing waits for you" in page(cast.ta, "credits_reports")
    assert Letter.objects.filter(to=cast.other_student.email, body__contains="Use another browser").exists()


def test_staff_replace_a_failed_code(shop: Shop, cast: Cast) -> None:
    post(signed_in(cast.ta.user), "credits_report_resolve", shop.report.pk, decision="replace", why="Sorry")
    states = sorted(CreditCode.objects.filter(holder=cast.other_student).values_list("status", flat=True))
    assert states == ["claimed", "quarantined"]
    assert check_codes() == []


def test_a_request_is_approved_in_part_as_a_larger_budget(shop: Shop, cast: Cast) -> None:
    ta = signed_in(cast.ta.user)
    before = budget_of(cast.student).amount_usd
    bad = post(ta, "credits_request_decide", shop.request.pk, answer="approve", how="budget", amount="x", why="")
    assert "Approve an amount in dollars and cents." in bad
    post(ta, "credits_request_decide", shop.request.pk, answer="approve", how="budget", amount="20.50", why="half")
    assert float(budget_of(cast.student).amount_usd - before) == 20.5
    assert "The budget is larger by $20.50." in page(cast.student, "ask_more")


def test_the_page_offers_to_ask_for_the_team_to_whoever_is_in_one(shop: Shop, cast: Cast) -> None:
    assert "For my team, Team 1" in page(cast.student, "ask_more")
    Enrollment.objects.filter(pk=cast.student.pk).update(team=None)
    assert "For my team" not in page(cast.student, "ask_more")


def test_a_request_is_served_as_a_code_of_the_reserve(shop: Shop, cast: Cast) -> None:
    ta = signed_in(cast.ta.user)
    post(ta, "credits_request_decide", shop.request.pk, answer="approve", how=str(shop.reserve.pk), why="")
    assert "You have a code of $100.00." in page(cast.student, "ask_more")
    assert CreditCode.objects.filter(batch=shop.reserve, holder=cast.student, status="claimed").exists()


def test_in_bulk_who_is_refused_stays_with_the_reason_beside_and_the_others_are_answered(
    shop: Shop, cast: Cast
) -> None:
    fits = asked(cast.other_student, 100)
    said = {"chosen": [shop.request.pk, fits.pk], "answer": "approve", "how": "code", "why": ""}
    found = post(signed_in(cast.ta.user), "credits_requests_decide", **said)
    assert f'id="error-{shop.request.pk}"' in found
    assert "A code cannot be divided." in found
    assert "1 request answered, $100.00 approved" in found
    assert dict(CreditRequest.objects.values_list("pk", "status")) == {shop.request.pk: "asked", fits.pk: "approved"}


def test_a_raise_that_a_tighter_budget_swallows_says_so(shop: Shop, cast: Cast) -> None:
    Budget.objects.filter(level=Level.TEAM).update(amount_usd=10)
    ta = signed_in(cast.ta.user)
    found = post(ta, "credits_request_decide", shop.request.pk, answer="approve", how="budget", amount="50", why="")
    assert "cannot use all of it yet" in found


def test_asking_twice_is_refused_at_the_field_and_taking_back_frees_the_place(shop: Shop, cast: Cast) -> None:
    student = signed_in(cast.student.user)
    said = {"amount_usd": "10", "whose": "me", "reason": "more"}
    assert "You have a request that waits for its answer already." in post(student, "ask_more", **said)
    post(student, "ask_withdraw", shop.request.pk)
    assert "Asked." in post(student, "ask_more", **said)


def test_staffs_own_words_are_what_students_read_until_the_shipped_ones_hold_again(shop: Shop, cast: Cast) -> None:
    ta = signed_in(cast.ta.user)
    words = {"title": "Used?", "signals": "been redeemed", "answer": "Ask Tess", "outcome": "staff", "enabled": "on"}
    post(ta, "credits_cause", "used", **words)
    assert "Used?" in page(cast.student, "code_help", shop.code.pk)
    post(ta, "credits_cause_reset", "used")
    assert "Used?" not in page(cast.student, "code_help", shop.code.pk)
    post(ta, "credits_cause_new", **{**words, "title": "My campus proxy"})
    assert "My campus proxy" in page(cast.student, "code_help", shop.code.pk)


def test_a_code_in_the_course_account_becomes_its_budget_once(shop: Shop, cast: Cast) -> None:
    instructor = signed_in(cast.instructor.user)
    redeem_for_course()
    assert "AWS credited $100.00" in page(cast.instructor, "credits_account_live")
    course = Budget.objects.get(level=Level.COURSE)
    assert "larger by $100.00" in post(instructor, "credits_redemption_budget", shop.redemption.pk)
    assert "counted in the budget already" in post(instructor, "credits_redemption_budget", shop.redemption.pk)
    assert Budget.objects.get(pk=course.pk).amount_usd - course.amount_usd == 100


def test_only_instructors_put_codes_into_the_account(shop: Shop, cast: Cast) -> None:
    said = {"batch": str(shop.reserve.pk), "number": "1", "why": "For the project"}
    assert "Only this course" in post(signed_in(cast.ta.user), "credits_account", **said)
    assert CourseRedemption.objects.count() == 1
    assert "Only 2 are free." in post(signed_in(cast.instructor.user), "credits_account", **{**said, "number": "3"})
    post(signed_in(cast.instructor.user), "credits_account", **said)
    assert CourseRedemption.objects.count() == 2
