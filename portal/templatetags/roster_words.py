"""Template words of the roster's pages. Decides nothing."""

from django import template
from django.utils.translation import gettext as _

from courses.roster import Field, Problem, Skip
from courses.roster_words import FIELDS, problem_words, role_word, skip_words, value_word
from instances.limits import Override

register = template.Library()


@register.filter
def roster_problem(problem: Problem) -> str:
    return problem_words(problem)


@register.filter
def skip_word(skip: Skip) -> str:
    return skip_words(skip)


@register.filter
def role_name(role: str) -> str:
    return role_word(role)


@register.filter
def change_part(part: tuple[str, str, str]) -> str:
    field, before, after = part
    values = {"field": FIELDS[Field(field)], "before": value_word(field, before), "after": value_word(field, after)}
    return _("%(field)s: %(before)s → %(after)s") % values


@register.filter
def override_words(row: Override) -> str:
    """Before and after; a dash is the course's rule."""
    return f"{_exception(row.before)} → {_exception(row.after)}"


def _exception(value: object) -> str:
    if isinstance(value, dict):
        names = {"extra_presets": _("%(n)d beyond the offer"), "only_presets": _("%(n)d only")}
        return ", ".join(names[name] % {"n": len(presets)} for name, presets in value.items())
    return "–" if value is None else str(value)
