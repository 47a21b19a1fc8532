"""Why money was refused, in a sentence for the person who asked. Decides nothing."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from django.utils.translation import gettext as _

from courses.models import Enrollment
from spend.budget import Verdict
from spend.models import Level

_CENT = Decimal("0.01")


class BudgetRefused(Exception):
    """A budget cannot pay, or cannot be so. `str()` is a sentence for the person; `verdict` the figures, if any."""

    def __init__(self, sentence: str, verdict: Verdict | None = None) -> None:
        super().__init__(sentence, verdict)
        self.sentence = sentence
        self.verdict = verdict

    def __str__(self) -> str:
        return self.sentence


class NoBudget(BudgetRefused):
    """The person has no budget in this course."""


class BelowCommitted(BudgetRefused):
    """A budget cannot be made smaller than what is spent and held."""


def cannot_pay(verdict: Verdict) -> BudgetRefused:
    """The refusal for a verdict that is not ok: who cannot pay, what is missing, what to do."""
    figures = {
        "name": verdict.name,
        "needed": rounded_up(verdict.needed_usd),
        "left": _rounded_down(verdict.left_usd),
        "short": rounded_up(verdict.short_usd),
    }
    return BudgetRefused(f"{_which(verdict.level) % figures} {_what_to_do(verdict.level)}", verdict)


def no_budget(enrollment: Enrollment) -> NoBudget:
    return NoBudget(
        _("You have no budget in %(course)s yet, so no machine can be paid for. Ask the course staff to open one.")
        % {"course": enrollment.course.name}
    )


def below_committed(name: str, least_usd: Decimal) -> BelowCommitted:
    return BelowCommitted(
        _(
            "The budget of %(name)s cannot be less than %(least)s: that much is spent or held already. "
            "Stop machines first, or choose a larger amount."
        )
        % {"name": name, "least": rounded_up(least_usd)}
    )


def _which(level: str) -> str:
    match level:
        case Level.PERSON:
            return _(
                "Your own budget cannot pay for this: %(needed)s must be set aside, %(left)s is left, "
                "%(short)s is missing."
            )
        case Level.TEAM:
            return _(
                "The budget of your team (%(name)s) cannot pay for this: %(needed)s must be set aside, "
                "%(left)s is left for the whole team, %(short)s is missing."
            )
        case Level.COURSE:
            return _(
                "The budget of the course (%(name)s) cannot pay for this: %(needed)s must be set aside, "
                "%(left)s is left for everyone, %(short)s is missing."
            )
    return _(
        "The sponsor's budget (%(name)s) cannot pay for this: %(needed)s must be set aside, %(left)s is left, "
        "%(short)s is missing."
    )


def _what_to_do(level: str) -> str:
    if level == Level.PERSON:
        return _("Stop another machine of yours, choose a smaller preset, or ask the course staff for more.")
    if level == Level.TEAM:
        return _("Ask a teammate to stop a machine, choose a smaller preset, or ask the course staff for more.")
    return _("Choose a smaller preset, try again when other machines have stopped, or ask the course staff for more.")


def rounded_up(amount_usd: Decimal) -> str:
    return dollars(amount_usd.quantize(_CENT, ROUND_CEILING))


def _rounded_down(amount_usd: Decimal) -> str:
    return dollars(amount_usd.quantize(_CENT, ROUND_FLOOR))


def dollars(amount_usd: Decimal) -> str:
    return f"${amount_usd:,.2f}"
