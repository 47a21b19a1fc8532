"""Sentences about codes for the people who read them: rules, refusals, letters, problems of an import, look-alikes."""

from collections.abc import Sequence

from django.conf import settings
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.text import get_text_list
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from credits.codes import LookAlike, Problem
from credits.entitlement import Refusal, Rule
from credits.models import CodeBatch, Purpose


def _when(batch: CodeBatch) -> str:
    return date_format(timezone.localtime(batch.opens_at), "DATETIME_FORMAT") if batch.opens_at else ""


def refusal_words(refusal: Refusal, batch: CodeBatch) -> str:
    """Why there is no code now, and what to do."""
    whom = batch.course.contact or _("your TA")
    return {
        Refusal.NOT_FOR_YOU: _("“%(batch)s” is not for you to claim. If you think it should be, ask %(whom)s."),
        Refusal.NOT_ENROLLED: _("“%(batch)s” is for people who are enrolled in the course. If you are, ask %(whom)s."),
        Refusal.OTHER_SECTION: _("“%(batch)s” is for another section. If you think it should be yours, ask %(whom)s."),
        Refusal.NO_TEAM: _("“%(batch)s” is for people in a team, and you are in none yet. Ask %(whom)s."),
        Refusal.OTHER_TEAM: _("“%(batch)s” is for other teams. If you think it should be yours, ask %(whom)s."),
        Refusal.ENROLLED_LATE: _("“%(batch)s” is for people who enrolled earlier. If you need credit, ask %(whom)s."),
        Refusal.USED: _("Your code of “%(batch)s” was taken out of use. Only %(whom)s can give you another."),
        Refusal.NOT_OPEN_YET: _("“%(batch)s” opens on %(when)s. Come back then; there is one for you."),
        Refusal.CLOSED: _("“%(batch)s” is closed. If you still need credit, ask %(whom)s."),
        Refusal.EXPIRED: _("AWS no longer accepts the codes of “%(batch)s”. Ask %(whom)s for another."),
        Refusal.EMPTY: _("All codes of “%(batch)s” are given out. Take a place in the queue for the next ones."),
    }[refusal] % {"batch": batch.name, "whom": whom, "when": _when(batch)}


def not_awarded_words(refusal: Refusal, batch: CodeBatch) -> str:
    """For staff who want to give one."""
    return {
        Refusal.EMPTY: _("“%(batch)s” has no free code left. Add codes to it, or take another batch."),
        Refusal.USED: _("They had a code of “%(batch)s” for this, and it was taken out of use."),
        Refusal.EXPIRED: _("AWS no longer accepts the codes of “%(batch)s”."),
        Refusal.NOT_ENROLLED: _("They are not enrolled in the course, and could not see the code."),
    }.get(refusal, _("“%(batch)s” belongs to another course.")) % {"batch": batch.name}


def queue_words(place: int, batch: CodeBatch) -> str:
    return _(
        "All codes of “%(batch)s” are given out. You have place %(place)d in the queue: "
        "as soon as there is a code for you, it is yours, and we write you a mail."
    ) % {"batch": batch.name, "place": place}


def served_words() -> str:
    """On the claim's row."""
    return _("Served from the queue")


def served_letter(batch: CodeBatch) -> tuple[str, str]:
    """Subject and body; the code itself is only ever on the page."""
    subject = _("Your AWS credit has come: %(batch)s") % {"batch": batch.name}
    body = _("There is a code of “%(batch)s” for you now. It is kept for you on your page:")
    if batch.purpose == Purpose.TEAMS:
        body = _("There is a code of “%(batch)s” for your team now. It is kept for all of you on your page:")
    return subject, f"{body % {'batch': batch.name}}\n{_page(batch)}\n"


def removed_letter(batch: CodeBatch) -> tuple[str, str]:
    subject = _("No longer in the queue: %(batch)s") % {"batch": batch.name}
    body = _(
        "“%(batch)s” is no longer for you to claim, so your place in the queue is closed. Is that wrong? Ask %(whom)s."
    )
    whom = batch.course.contact or _("your TA")
    return subject, f"{body % {'batch': batch.name, 'whom': whom}}\n{_page(batch)}\n"


def _page(batch: CodeBatch) -> str:
    return f"{settings.PORTAL_URL}/c/{batch.course.slug}/"


def rule_words(purpose: str, rule: Rule) -> str:
    """For whom a batch is, as one sentence for staff: “Students of section 101 who enrolled before 1 Feb 2019; …”."""
    given = {
        Purpose.PRIZE: _("Nobody claims these: staff award them as prizes."),
        Purpose.RESERVE: _("Nobody claims these: staff give them out one by one."),
    }.get(Purpose(purpose))
    if given:
        return given
    who = [_whom(rule), _of_sections(rule), _of_teams(rule), _enrolled(rule)]
    people = " ".join(part for part in who if part)
    sentence = _("One code for each team with %(people)s") if purpose == Purpose.TEAMS else "%(people)s"
    waitlist = _("people on the waitlist included") if rule.waitlist else _("people on the waitlist excluded")
    text = f"{sentence % {'people': people}}; {waitlist}."
    return text[:1].upper() + text[1:]


def _whom(rule: Rule) -> str:
    names = {
        "student": _("students"),
        "ta": _("TAs"),
        "instructor": _("instructors"),
        "sponsor": _("sponsors"),
    }
    return _listed([names[role] for role in rule.roles])


def _of_sections(rule: Rule) -> str:
    if not rule.sections:
        return ""
    text = ngettext("of section %(names)s", "of sections %(names)s", len(rule.sections))
    return text % {"names": _listed(rule.sections)}


def _of_teams(rule: Rule) -> str:
    if rule.teams:
        return ngettext("in team %(names)s", "in teams %(names)s", len(rule.teams)) % {"names": _listed(rule.teams)}
    return _("with a team") if rule.with_team else ""


def _enrolled(rule: Rule) -> str:
    if rule.enrolled_before is None:
        return ""
    return _("who enrolled before %(day)s") % {"day": date_format(rule.enrolled_before, "DATE_FORMAT")}


def _listed(names: Sequence[str]) -> str:
    return get_text_list(list(names), _("and"))


def problem_words(problem: Problem) -> str:
    """Why a line of an import cannot be a code."""
    return {
        Problem.EMPTY: _("There is no code in this line."),
        Problem.TOO_SHORT: _(
            "Too short for a code of AWS: perhaps another column, or half a cell. Copy the whole code."
        ),
        Problem.TOO_LONG: _("Longer than 256 characters: AWS has no such code."),
        Problem.SPACE: _("There is a space inside: perhaps two cells in one."),
        Problem.INVISIBLE: _("There is an invisible character inside: copy it again from the source."),
        Problem.FORMULA: _("This is a formula, not a code: save the file with values."),
        Problem.SHORTENED: _("The spreadsheet has shortened this number; its last digits are lost in the file."),
        Problem.FORBIDDEN: _("A character that no AWS code has (one of < > \" & % | ')."),
    }[problem]


def look_alike_words(found: LookAlike) -> str:
    """For a person who has to type the code."""
    kind = _("digit") if found.char.isdigit() else _("capital letter") if found.char.isupper() else _("small letter")
    return _("Character %(position)d is the %(kind)s %(char)s.") % {
        "position": found.position,
        "kind": kind,
        "char": found.char,
    }
