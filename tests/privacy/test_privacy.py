"""What is kept about a person: they see all of it, and once it is removed nothing of it is left, and the books sum."""

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db.models import EmailField, GenericIPAddressField
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from courses import audit
from courses import events as course_events
from courses.audit import Kind
from courses.models import AuditEntry, AuditNote, CourseEvent, Enrollment, User
from instances.limits import Override
from instances.states import State
from portal import auditing, forgetting
from portal.audit_check import problems
from portal.personal import KEPT, NOT_ABOUT
from spend.checks import check_books
from spend.models import MoneyMove
from tests.audit.conftest import Shop, account, batch, shop, today  # noqa: F401 - fixtures
from tests.conftest import Cast
from tests.instances.conftest import fresh
from tests.pages.conftest import _plain_static_files, signed_in  # noqa: F401 - fixture

ADA = "ada@demo.edu"
TRACES = (ADA, "Ada Student", "ada was ill")


@pytest.fixture
def lived(shop: Shop, cast: Cast) -> Shop:  # noqa: F811
    """Ada had a machine and deleted it, a code, a request, an exception; staff looked at her; all of it is audited."""
    stage, now = shop.stage, timezone.now()
    row = stage.running(cast.student)
    stage.later(600)
    stage.sweep()
    type(row).objects.filter(pk=row.pk).update(reason="Stopped for Ada Student")
    ta = signed_in(cast.ta.user)
    ta.get(reverse("course_person", args=["dl19", cast.student.pk]))
    ta.get(reverse("machine", args=[row.slug]))
    Override.objects.create(
        enrollment=cast.student, kind="budget", before=None, after="5", why="ada was ill", who=cast.ta.user, at=now
    )
    course_events.note(
        cast.course,
        CourseEvent.Kind.TEAM_FORMED,
        who=cast.ta.user,
        now=now,
        facts={"members": ["Ada Student", "Ben Other"]},
    )
    cast.student.user.last_login = now
    auditing.collect(now)
    return shop


def gone(shop: Shop, cast: Cast) -> None:  # noqa: F811
    """Her machine is deleted and paid for."""
    stage = shop.stage
    for row in cast.student.instances.exclude(state=State.TERMINATED):
        from instances import services

        services.request_terminate(fresh(row), who=cast.student.user, now=stage.now)
        services.terminate([row.pk], cloud=stage.cloud, now=stage.now)
    stage.wait(5)
    assert not cast.student.instances.exclude(state=State.TERMINATED).exists()


def everything() -> Iterator[str]:
    """Every value of every row of ours, as text."""
    for model in apps.get_models(include_auto_created=True):
        for row in model._default_manager.values():
            for name, value in row.items():
                yield f"{model._meta.label}.{name}: {value!r}"


def traces() -> list[str]:
    return [cell for cell in everything() if any(word.lower() in cell.lower() for word in TRACES)]


def test_every_table_that_points_to_a_person_says_what_becomes_of_it() -> None:
    people = (User, Enrollment)
    pointing = {
        model._meta.label
        for model in apps.get_models(include_auto_created=True)
        for one in model._meta.concrete_fields
        if (one.is_relation and one.related_model in people) or isinstance(one, EmailField | GenericIPAddressField)
    }
    known = {kept.label for kept in KEPT} | NOT_ABOUT.keys() | {"instances.Instance"}
    new = sorted(pointing - known)
    assert not new, (
        f"{new} point to a person. What of them is shown to that person, and what is removed when they are forgotten? "
        "Add a Kept(...) to portal/personal.py, or a line to NOT_ABOUT there."
    )


def test_a_person_sees_all_of_it_and_who_of_the_staff_looked(lived: Shop, cast: Cast) -> None:
    html = signed_in(cast.student.user).get(reverse("my_data")).content.decode()
    for word in ("Looked at a student’s page", "Tess Assistant", "g4dn.xlarge", "Videos", "Machines", ADA):
        assert word in html, word
    assert "ada was ill" not in html  # between her and the instructors
    for raw in ("T00:", "+00:00", "person_page", '{"', "00000</"):  # as a table has it, not a person
        assert raw not in html.partition("Account")[2], raw


def test_the_file_holds_every_row_as_json_and_as_csv(lived: Shop, cast: Cast) -> None:
    client = signed_in(cast.student.user)
    answer = client.get(reverse("my_data_zip"))
    pack = zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content)))
    told = json.loads(pack.read("all.json"))
    assert told["user"][0]["email"] == ADA
    assert [row["last4"] for row in told["creditcode"]] == [lived.code.last4]
    assert len(told["moneymove"]) == MoneyMove.objects.filter(budget__enrollment=cast.student).count()
    for name, rows in told.items():
        if name != "as_of":
            assert len(list(csv.DictReader(io.StringIO(pack.read(f"{name}.csv").decode())))) == len(rows), name
    assert cast.other_student.email not in pack.read("all.json").decode()
    assert AuditNote.objects.get(what="data_exported").who == cast.student.user


def test_a_formula_in_ones_own_data_stays_text(cast: Cast) -> None:
    Enrollment.objects.filter(pk=cast.student.pk).update(section="=1+1")
    pack = signed_in(cast.student.user).get(reverse("my_data_zip"))
    table = zipfile.ZipFile(io.BytesIO(b"".join(pack.streaming_content))).read("enrollment.csv").decode()
    assert "'=1+1" in table


def test_a_dry_run_says_what_would_happen_and_does_nothing(
    lived: Shop, cast: Cast, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(everything())
    call_command("forget_person", ADA)
    said = capsys.readouterr().out
    assert "Machines: emptied: reason" in said
    assert "Credit codes (never their text): kept" in said
    assert "Nothing was changed" in said
    assert sorted(everything()) == before


def test_who_still_has_a_machine_is_not_touched(lived: Shop, cast: Cast) -> None:
    before = traces()
    with pytest.raises(CommandError, match="machines still exist"):
        call_command("forget_person", ADA, yes=True)
    assert traces() == before


def test_a_forgotten_person_leaves_no_trace_and_the_books_still_sum(
    lived: Shop, cast: Cast, capsys: pytest.CaptureFixture[str]
) -> None:
    gone(lived, cast)
    auditing.collect(timezone.now())
    cast.student.budget.refresh_from_db()
    spent = cast.student.budget.spent_usd
    assert spent > Decimal(0)
    assert traces()

    call_command("forget_person", ADA, yes=True, why="asked for it")

    assert "Done." in capsys.readouterr().out
    assert traces() == []
    hers = AuditEntry.objects.filter(who=cast.student.user_id) | AuditEntry.objects.filter(about=cast.student)
    assert hers.exists()
    assert not hers.exclude(address=None, why="", subject="").exists()
    assert check_books(None) == []
    cast.student.budget.refresh_from_db()
    assert cast.student.budget.spent_usd == spent
    assert list(problems()) == []
    told = AuditNote.objects.get(what="person_forgotten")
    assert (told.course, told.why) == (cast.course, "asked for it")
    assert Enrollment.objects.get(pk=cast.other_student.pk).name == "Ben Other"


def test_a_forgotten_person_is_out_everywhere_and_their_address_is_free(lived: Shop, cast: Cast) -> None:
    gone(lived, cast)
    browser = signed_in(cast.student.user)
    call_command("forget_person", ADA, yes=True)
    assert browser.get(reverse("course_home", args=["dl19"])).status_code == 302
    with pytest.raises(CommandError, match="Nobody"):
        call_command("forget_person", ADA, yes=True)


def test_after_the_term_and_its_days_people_become_nameless_by_themselves(lived: Shop, cast: Cast) -> None:
    gone(lived, cast)
    course, now = cast.course, timezone.now()
    type(cast.other_course).objects.filter(pk=cast.other_course.pk).update(ends_on=now.date() + timedelta(days=9))
    type(course).objects.filter(pk=course.pk).update(ends_on=(now - timedelta(days=31)).date(), retention_days=30)
    assert forgetting.retain(now - timedelta(days=1)) == 0
    also_elsewhere = Enrollment.objects.create(
        course=cast.other_course, user=cast.ta.user, email="tess@demo.edu", name="Tess Assistant"
    )
    assert forgetting.retain(now) == 4
    assert forgetting.retain(now) == 0
    assert {line.name for line in course.enrollments.all()} == {
        f"Former member {e.pk}" for e in course.enrollments.all()
    }
    also_elsewhere.user.refresh_from_db()
    assert also_elsewhere.user.email == "tess@demo.edu"  # still somebody, in the other course
    assert check_books(None) == []
    auditing.collect(now)
    assert list(problems()) == []


def test_retention_waits_for_a_machine_and_goes_on_with_the_others(lived: Shop, cast: Cast) -> None:
    now = timezone.now()
    type(cast.course).objects.update(ends_on=(now - timedelta(days=400)).date())
    assert forgetting.retain(now) == 4  # of both courses, Ada apart
    cast.student.refresh_from_db()
    assert cast.student.name == "Ada Student"


def test_a_course_may_keep_names(lived: Shop, cast: Cast) -> None:
    now = timezone.now()
    type(cast.course).objects.update(ends_on=(now - timedelta(days=4000)).date(), retention_days=None)
    assert forgetting.retain(now) == 0


def test_an_instructor_sets_the_days_with_a_reason(cast: Cast) -> None:
    client = signed_in(cast.instructor.user)
    url = reverse("course_privacy", args=["dl19"])
    assert "Former" not in client.get(url).content.decode()
    refused = client.post(url, {"days": "3", "why": "soon"})
    assert refused.status_code == 422
    assert client.post(url, {"days": "90", "why": "our rule"}).status_code == 302
    cast.course.refresh_from_db()
    assert cast.course.retention_days == 90
    assert AuditNote.objects.get(what="retention_set").facts == {"before": 365, "now": 90}


def test_what_leaves_for_aws_names_nobody(shop: Shop, cast: Cast) -> None:  # noqa: F811
    shop.stage.running(cast.student)
    told = repr(list(shop.stage.cloud.machines.values()))
    assert str(cast.student.opaque_id) in told
    for word in (ADA, "Ada", "Student", "demo.edu"):
        assert word not in told


def test_staff_see_only_their_courses_in_the_audit_of_a_student(lived: Shop, cast: Cast) -> None:
    audit.note("elsewhere", kind=Kind.LOOK, course=cast.other_course, who=cast.ta.user, now=timezone.now())
    auditing.collect(timezone.now())
    html = signed_in(cast.instructor.user).get(reverse("course_audit", args=["dl19"])).content.decode()
    assert "Elsewhere" not in html
    assert AuditEntry.objects.filter(what="elsewhere").exists()


def test_signed_out_people_have_no_data_page(db: None) -> None:
    assert Client().get(reverse("my_data")).status_code == 302
