"""Why a line of a roster cannot be taken, in words; and our fields' names. Decides nothing."""

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from courses.models import EnrollmentStatus, Role
from courses.roster import Field, Problem, Reason, Skip

FIELDS = {
    Field.NAME: gettext_lazy("Name"),
    Field.FIRST: gettext_lazy("First name"),
    Field.LAST: gettext_lazy("Last name"),
    Field.EMAIL: gettext_lazy("E-mail address"),
    Field.LOGIN: gettext_lazy("Login"),
    Field.KEY: gettext_lazy("Student number"),
    Field.ROLE: gettext_lazy("Role"),
    Field.STATUS: gettext_lazy("Status or waitlist"),
    Field.SECTION: gettext_lazy("Section"),
    Field.TEAM: gettext_lazy("Team"),
}


def problem_words(problem: Problem) -> str:
    return {
        Reason.NO_ADDRESS: _("It has neither an address nor a login."),
        Reason.BAD_ADDRESS: _("“%(text)s” is no e-mail address."),
        Reason.NO_DOMAIN: _("“%(text)s” is a login: say which domain makes an address of it."),
        Reason.NO_NAME: _("It has no name."),
        Reason.TOO_LONG: _("“%(text)s…” is too long."),
        Reason.UNKNOWN_ROLE: _(
            "“%(text)s” is no role that is known here. Change it in the file, or take no role from it."
        ),
        Reason.UNKNOWN_STATUS: _(
            "“%(text)s” is no status that is known here. Change it, or take no status from the file."
        ),
        Reason.ROLE_NOT_CONFIRMED: _("The file says %(role)s. Tick “take roles from the file” to let staff in."),
        Reason.TWICE: _("The same person stands in line %(text)s, with other facts."),
        Reason.TWO_PEOPLE: _(
            "On the roster this address is %(text)s’s, with another student number. Change one of the two by hand."
        ),
        Reason.NOT_YOURS: _("Only an instructor lets staff in or changes their lines (%(text)s)."),
    }[problem.reason] % {"text": problem.text, "role": role_word(problem.text)}


def skip_words(skip: Skip) -> str:
    return {
        Skip.POINTS_POSSIBLE: _("the gradebook’s line of possible points"),
        Skip.TEST_STUDENT: _("the gradebook’s test student"),
    }[skip]


def role_word(role: str) -> str:
    return str(Role(role).label) if role in Role.values else role


def value_word(field: str, value: str) -> str:
    """A cell of a change, as people read it."""
    if field == "status" and value in EnrollmentStatus.values:
        return str(EnrollmentStatus(value).label)
    return role_word(value) if field == "role" else value or "–"
