"""A course of codes with every log at DEBUG: no code in a log line, mail, table, page, or in the database's files.

The one page that shows a code on demand is the exception, and the proof that the search works.
"""

import logging
import os
import secrets
import subprocess
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

import pytest
from django.core import mail
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from cloud.aws_billing import AwsBilling
from courses.models import Enrollment
from courses.tables import read_text
from credits import course_account, letters
from credits.awards import award
from credits.contests import award_places, create_contest, enter
from credits.expiry import remind
from credits.models import CodeBatch, CreditCode, FailedReport, Purpose
from credits.ranking import Ranked
from credits.requests import ask
from credits.resolving import resolve
from credits.stock import add_codes
from portal.requests import Answer, decide_request
from tests.instances.conftest import Stage
from tests.pages.conftest import signed_in
from tests.simulated_aws import SimulatedAws, aws_credentials, sim, simulated_aws

__all__ = ["aws_credentials", "sim", "simulated_aws"]
LOGGERS = ("", "django", "django.db.backends", "django.request", "credits", "cloud", "boto3", "botocore", "urllib3")


def _shapes(number: int) -> list[str]:
    """Codes as programmes write them: no two alike, none that could occur by chance."""
    token = secrets.token_hex(8).upper()
    groups = "-".join(token[start : start + 4] for start in range(0, 16, 4))
    return [f"PC{token}", groups, token.lower(), f"{number:04d}{secrets.randbelow(10**12):012d}"]


CODES = [shape for number in range(6) for shape in _shapes(number)]


def leaks(text: str | bytes) -> list[str]:
    """Which codes are in there, in any case; by position, so that a failing test leaks none either."""
    content = (text if isinstance(text, bytes) else text.encode()).lower()
    return [f"code {n}" for n, code in enumerate(CODES) if code.lower().encode() in content]


def every_page(clients: Iterable[Client], *, course: str, line: Enrollment, batch: CodeBatch) -> list[bytes]:
    code = CreditCode.objects.filter(holder=line).latest("pk")
    names: dict[str, list[object]] = {
        "course_home": [],
        "course_live": [],
        "course_staff": [],
        "course_person": [line.pk],
        "ask_more": [],
        "code_help": [code.pk],
        "credits_desk": [],
        "credits_csv": [],
        "credits_xlsx": [],
        "credits_batch": [batch.pk],
        "credits_code": [code.pk],
        "credits_reports": [],
        "credits_requests": [],
        "credits_contests": [],
        "credits_causes": [],
    }
    answers = [client.get(reverse(name, args=[course, *ids])) for client in clients for name, ids in names.items()]
    assert sum(answer.status_code == 200 for answer in answers) >= len(names)
    return [answer.content + str(answer.headers).encode() for answer in answers]


def dump(folder: Path) -> bytes:
    """All that a thief of the database would hold."""
    settings = connection.settings_dict
    if connection.vendor == "sqlite":
        name = Path(settings["NAME"])
        return b"".join(path.read_bytes() for path in name.parent.glob(f"{name.name}*"))
    target = folder / "dump.sql"
    where = [
        "-h",
        settings["HOST"] or "127.0.0.1",
        "-p",
        str(settings["PORT"] or 5432),
        "-U",
        settings["USER"] or "root",
    ]
    environment = {**os.environ, "PGPASSWORD": settings["PASSWORD"] or ""}
    subprocess.run(["pg_dump", *where, "-f", str(target), settings["NAME"]], check=True, env=environment)
    return target.read_bytes()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_no_code_is_anywhere_but_on_the_page_that_shows_it(
    today: Stage, sim: SimulatedAws, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    for name in LOGGERS:
        caplog.set_level(logging.DEBUG, name)
    connection.force_debug_cursor = True  # every statement with its values, as DEBUG writes it
    try:
        pages = _a_course(today, sim)
    finally:
        connection.force_debug_cursor = False
    said = "\n".join(record.getMessage() for record in caplog.records) + caplog.text
    assert "INSERT INTO" in said  # the statements were seen
    assert "RedeemCredits" in said  # and boto3 was heard
    assert leaks(said) == []
    assert [leaks(page) for page in pages if leaks(page)] == []
    assert mail.outbox
    assert [leaks(f"{message.subject}{message.body}") for message in mail.outbox if leaks(message.body)] == []
    found = dump(tmp_path)
    assert b"dl19" in found  # it is this database
    assert leaks(found) == []


def test_a_list_on_its_way_in_does_not_show_its_cells_where_things_are_described() -> None:
    assert leaks(repr(read_text("\n".join(CODES)))) == []


def _a_course(today: Stage, sim: SimulatedAws) -> list[bytes]:
    """Import, claim, look, fail with the code pasted, replace, answer, award, redeem, remind, export."""
    cast, now = today.cast, timezone.now()
    student, staff = signed_in(cast.student.user), signed_in(cast.instructor.user)
    batch, pages = _imported(staff, cast.course.slug)
    reserve = CodeBatch.objects.create(
        course=cast.course, name="Reserve", value_usd=Decimal(100), purpose=Purpose.RESERVE, redeem_by=now.date()
    )
    pool = CodeBatch.objects.create(
        course=cast.course, name="Prizes", value_usd=Decimal(500), purpose=Purpose.PRIZE, redeem_by=now.date()
    )
    add_codes(reserve, enumerate(CODES[12:18]), who=cast.instructor.user, now=now)
    add_codes(pool, enumerate(CODES[18:]), who=cast.instructor.user, now=now)

    student.post(reverse("claim", args=["dl19", batch.pk]))
    pages += [*_failed(student, cast.student, "used"), *_failed(student, cast.student, "used")]
    second = FailedReport.objects.get(status="open")
    resolve(second, "replace", why=f"not {CODES[0]}", who=cast.ta.user, now=now)
    pages += _failed(student, cast.student, "other")

    request = ask(
        cast.student, amount_usd=Decimal(100), reason=CODES[13], for_team=False, who=cast.student.user, now=now
    )
    decide_request(request, Answer.APPROVE, why=CODES[14], who=cast.ta.user, now=now)
    contest = create_contest(cast.course, name="HW4", places=1, pool=pool, who=cast.instructor.user, now=now)
    places = enter(contest, [Ranked(1, "a")], {"a": f"team:{cast.team.pk}"}, who=cast.instructor.user, now=now)
    award_places(contest, places, who=cast.instructor.user, now=now)
    award(reserve, cast.ta, key="x", why="for the lab", who=cast.instructor.user, now=now)
    _into_the_account(cast.instructor, reserve, sim)
    remind(now)
    letters.send_due(now)
    return pages + every_page((student, staff), course="dl19", line=cast.student, batch=batch)


def _failed(student: Client, line: Enrollment, cause: str) -> list[bytes]:
    """The newest code is looked at, and pasted into the help in every way that people paste."""
    code = CreditCode.objects.get(holder=line, status="claimed")
    shown = student.post(reverse("reveal", args=["dl19", code.pk])).content
    (text,) = (one for one in CODES if one.encode() in shown)  # the search finds what is there
    message = f"redeemed already : {text} and {text.lower()} and {CODES[20]} and {' '.join(text)}"
    said = {"cause": cause, "message": message}
    helped = student.post(reverse("code_help", args=["dl19", code.pk]), {"message": message})
    failed = student.post(reverse("code_failed", args=["dl19", code.pk]), said, follow=True)
    return [helped.content, failed.content]


def _imported(staff: Client, slug: str) -> tuple[CodeBatch, list[bytes]]:
    """Through the doors: upload, preview with a bad line and a double, confirm."""
    lines = "\n".join(["code", *CODES[:12], CODES[0], "not a code"])
    upload = SimpleUploadedFile("codes.csv", lines.encode())
    uploaded = staff.post(reverse("credits_import", args=[slug]), {"file": upload})
    assert uploaded.status_code == 302
    preview = staff.get(uploaded["Location"])
    facts = {"name": "Everyone", "value_usd": "100", "purpose": "everyone", "replace_at_once": "on"}
    chosen = {"column": "0", "has_heading": "on", "target": "new", "confirm": "1", **facts}
    done = staff.post(uploaded["Location"], chosen, follow=True)
    batch = CodeBatch.objects.get(name="Everyone")
    assert batch.codes.count() == 12
    CodeBatch.objects.filter(pk=batch.pk).update(opens_at=None, closes_at=None)
    batch.refresh_from_db()
    return batch, [preview.content, done.content]


def _into_the_account(instructor: Enrollment, reserve: CodeBatch, sim: SimulatedAws) -> None:
    """One that AWS takes, and one that it names in its refusal."""
    good, used = reserve.codes.filter(status="available")[:2]
    texts = [CODES[12:18][list(reserve.codes.order_by("pk")).index(code)] for code in (good, used)]
    account = AwsBilling(region="us-east-1", endpoint_url=sim.url)
    sim.ask("POST", "credits", [{"code": text, "amount": 100} for text in texts])
    account.redeem(texts[1])
    asked = course_account.ask([good, used], why="x", who=instructor.user, now=timezone.now())
    ends = {course_account.perform(one, account=account, now=timezone.now()) for one in asked}
    assert ends == {"confirmed", "failed"}
