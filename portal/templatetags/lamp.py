"""Template words: money, times in the viewer's zone, state badges. Decides nothing."""

from datetime import datetime, timedelta
from decimal import Decimal

from django import template
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.html import format_html, json_script
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from instances.called_off import unanswered
from instances.models import Instance, InstanceEvent
from instances.standing import never_ran, waits
from instances.states import State
from instances.steps import Name
from portal import figures

register = template.Library()
register.filter("usd", figures.usd)
register.filter("usd_fine", figures.usd_fine)
register.filter("usd_hour", figures.usd_hour)
register.filter("span", figures.span)
register.filter("waits", waits)

STATE_WORDS = {
    State.REQUESTED: (gettext_lazy("Asked for"), "moving"),
    State.LAUNCHING: (gettext_lazy("Starting"), "moving"),
    State.RUNNING: (gettext_lazy("Running"), "lit"),
    State.STOPPING: (gettext_lazy("Stopping"), "moving"),
    State.STOPPED: (gettext_lazy("Stopped"), "out"),
    State.TERMINATING: (gettext_lazy("Deleting"), "moving"),
    State.TERMINATED: (gettext_lazy("Deleted"), "out"),
    State.FAILED: (gettext_lazy("Failed"), "failed"),
}

QUEUE_WORD = gettext_lazy("In the queue")
NEVER_RAN_WORD = gettext_lazy("Not started")
CALLED_OFF_WORD = gettext_lazy("Called off")

STEP_WORDS = {
    Name.ASKED: gettext_lazy("Asked for"),
    Name.STARTING: gettext_lazy("Starting at AWS"),
    Name.BOOTING: gettext_lazy("Booting, JupyterLab is coming up"),
    Name.READY: gettext_lazy("Ready"),
}


@register.simple_tag
def js_words() -> SafeString:
    """The same words as `figures.span`, for the script that counts on."""
    return json_script(
        {
            "s": _("%(n)s s"),
            "min": _("%(n)s min"),
            "h": _("%(n)s h"),
            "days": _("%(n)s days"),
            "in": _("in %(span)s"),
            "ago": _("%(span)s ago"),
            "now": _("now"),
            "shown": _("%(n)s of %(of)s shown"),
            "key": _("Your browser used no security key. Try again, or add an authenticator app instead."),
        },
        "words",
    )


@register.filter
def state_word(state: str) -> str:
    return str(STATE_WORDS[State(state)][0])


@register.filter
def step_word(name: str) -> str:
    return str(STEP_WORDS[Name(name)])


@register.filter
def badge(state: str) -> SafeString:
    """A lamp and a word: colour never says it alone."""
    return _badge(*STATE_WORDS[State(state)])


@register.filter
def machine_word(machine: Instance) -> str:
    """As `state_word`, but who waits for AWS is not told that it only was asked for, or that it starts; nor, of what
    never was there, that it was deleted."""
    return str(_word_and_style(machine)[0])


@register.filter
def machine_badge(machine: Instance) -> SafeString:
    return _badge(*_word_and_style(machine))


def _word_and_style(machine: Instance) -> tuple[Promise | str, str]:
    if waits(machine):
        return QUEUE_WORD, "moving"
    if never_ran(machine):
        return NEVER_RAN_WORD, "out"
    if unanswered(machine):
        return CALLED_OFF_WORD, "moving"
    return STATE_WORDS[State(machine.state)]


def _badge(word: Promise | str, style: str) -> SafeString:
    return format_html('<span class="badge {}"><span class="dot" aria-hidden="true"></span>{}</span>', style, word)


@register.filter
def told(event: InstanceEvent) -> SafeString:
    """What happened and why; a reason that begins with what happened does not say it twice."""
    word = state_word(event.new_state) if event.new_state else str(event.get_kind_display())
    if event.new_state == State.REQUESTED and event.old_state:  # AWS had none: back to the queue, asked for long ago
        word = str(QUEUE_WORD)
    elif event.new_state == State.TERMINATED and never_ran(event.instance):
        word = str(NEVER_RAN_WORD)
    reason = event.reason
    if reason.casefold().startswith(word.casefold()):
        return format_html('<span class="kind">{}</span>{}', reason[: len(word)], reason[len(word) :])
    return format_html('<span class="kind">{}</span>{}{}', word, " · " if reason else "", reason)


def absolute(moment: datetime, now: datetime) -> str:
    """As short as it stays clear: 18:40, Fri 18:40, 3 Mar 18:40, 3 Mar 2019 18:40."""
    local, today = timezone.localtime(moment), timezone.localtime(now)
    days = abs((local.date() - today.date()).days)
    if days == 0:
        return date_format(local, "TIME_FORMAT")
    if days < 7:
        return date_format(local, "WEEK_TIME_FORMAT")
    return date_format(local, "MONTH_DAY_TIME_FORMAT" if local.year == today.year else "DATE_TIME_FORMAT")


@register.simple_tag(takes_context=True)
def when(context: template.Context, moment: datetime | None, style: str = "both") -> str:
    """`18:40 (in 1 h 5 min)`; style `abs`, `rel` or `both`. The script keeps the relative part moving."""
    if moment is None:
        return "–"
    now = context["now"]
    local = timezone.localtime(moment)
    shown = absolute(moment, now)
    rel = format_html("<span data-rel>{}</span>", figures.relative((moment - now).total_seconds()))
    body = {"abs": shown, "rel": rel}.get(style) or format_html("{} ({})", shown, rel)
    full = date_format(local, "FULL_FORMAT") + f" {local.tzname()}"
    return format_html('<time datetime="{}" title="{}">{}</time>', moment.isoformat(), full, body)


@register.simple_tag(takes_context=True)
def running_since(context: template.Context, moment: datetime) -> str:
    """How long this has been going on, counting."""
    return format_html(
        '<span class="num" data-since="{}">{}</span>', moment.isoformat(), figures.span(context["now"] - moment)
    )


@register.simple_tag
def share(part: Decimal, whole: Decimal) -> str:
    """Per cent for a bar's width, with a point in every language."""
    if not whole or part <= 0:
        return "0"
    return f"{min(100, float(part / whole) * 100):.2f}"


@register.filter
def plain(number: Decimal) -> str:
    """For the script that sorts: no separators, in any language."""
    return f"{number:f}"


@register.filter
def percent(share_of_one: Decimal) -> str:
    value = float(share_of_one) * 100
    return "–" if not value else "<0.1 %" if value < 0.1 else f"{value:.1f} %"


@register.filter
def until(end: datetime, start: datetime) -> str:
    """How long it took from start to end; used where both moments are known."""
    return figures.span(max(timedelta(0), end - start))
