"""Doors of a course's guided set-up: steps in any order, each with a default, and the check list for the first day."""

from dataclasses import dataclass
from decimal import Decimal

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from courses import course_settings
from courses.access import course_to_set_up, staff_courses_of
from courses.doors import person, signed_in
from courses.models import Course, Role
from courses.setting_up import STEPS, SetUpRefused, confirm_step
from instances.books import dates_of
from instances.launch_rules import course_end
from instances.longer import hold_course_longer
from instances.preset_forms import IMAGE
from instances.presets import starter_presets
from portal.course_copy import copy_course
from portal.forms_setup import CourseForm, DatesForm, MoneyForm
from portal.readiness import State, link_to, readiness
from portal.views_courses import invite
from spend.defaults import BudgetDefaults, open_missing, set_defaults
from spend.models import Budget, Level
from spend.opening import create_budget
from spend.services import BudgetRefused

GET_OR_POST = ["GET", "HEAD", "POST"]
CENTS = Decimal("0.01")
_DATES = ("name", "term", "timezone", "starts_on", "ends_on", "contact", "email_domain")
_WORDS = {
    "dates": (gettext_lazy("Name, dates, time zone"), gettext_lazy("When it begins and ends, and whom to ask.")),
    "people": (gettext_lazy("People"), gettext_lazy("Bring in the roster; TAs by hand or from the file.")),
    "money": (gettext_lazy("Money"), gettext_lazy("What the course, each team and each person may spend.")),
    "presets": (gettext_lazy("Presets"), gettext_lazy("The machines that students choose from.")),
    "policy": (
        gettext_lazy("When machines stop"),
        gettext_lazy("Default: unused for 30 minutes, warned 10 minutes before."),
    ),
    "alerts": (gettext_lazy("Alerts"), gettext_lazy("Default: by mail, when a budget reaches 50, 80 and 100 %.")),
}
_PAGES = {"people": "roster_import", "presets": "presets", "policy": "machine_policy", "alerts": "course_alerts"}


@dataclass(frozen=True, slots=True)
class Step:
    key: str
    title: str
    words: str
    link: str
    done: bool
    by_default: bool  # may be kept as it is with one click
    open: bool  # the asker may go there
    is_next: bool = False  # the first that is not done


@require_safe
@signed_in
@never_cache
def setup(request: HttpRequest, slug: str) -> HttpResponse:
    return _page(request, course_to_set_up(request.user, slug))


def _page(request: HttpRequest, course: Course, *, image: str = "", image_error: str = "") -> HttpResponse:
    now, is_staff = timezone.now(), _is_staff(request, course)
    checks = readiness(course, now)
    context = {
        "now": now,
        "course": course,
        "steps": _steps(course, is_staff),
        "checks": checks,
        "missing": sum(check.state is State.MISSING for check in checks),
        "is_staff": is_staff,
        "image": image,
        "image_error": image_error,
    }
    return render(request, "setup/page.html", context, status=422 if image_error else 200)


def _is_staff(request: HttpRequest, course: Course) -> bool:
    """An operator who is not on the staff finds the roster's pages closed: links there would lead nowhere."""
    return staff_courses_of(request.user).filter(pk=course.pk).exists()


def _steps(course: Course, is_staff: bool) -> list[Step]:
    so_far = {
        "people": course.enrollments.filter(role=Role.STUDENT).exists(),
        "money": Budget.objects.filter(course=course, level=Level.COURSE, amount_usd__gt=0).exists(),
        "presets": course.presets.filter(enabled=True).exists(),
    }
    steps: list[Step] = []
    for key in STEPS:
        title, words = _WORDS[key]
        link = link_to(_PAGES.get(key, f"setup_{key}"), course)
        done = key in course.setup_done or so_far.get(key, False)
        may_go = is_staff or key not in _PAGES
        is_next = not done and all(step.done for step in steps)
        steps.append(Step(key, str(title), str(words), link, done, key not in so_far and not done, may_go, is_next))
    return steps


@require_http_methods(GET_OR_POST)
@signed_in
@never_cache
def setup_dates(request: HttpRequest, slug: str) -> HttpResponse:
    course = course_to_set_up(request.user, slug)
    form = DatesForm(request.POST or None, initial={name: getattr(course, name) for name in _DATES})
    if form.is_bound and form.is_valid():
        who, now = person(request), timezone.now()
        ended = course_end(dates_of(course))
        try:
            with transaction.atomic():
                course_settings.change(course, form.cleaned_data, who=who, now=now)
                if course_end(dates_of(course)) > ended:
                    hold_course_longer(course, who=who, now=now)
                confirm_step(course, "dates", who=who, now=now)
        except BudgetRefused as refused:
            form.add_error("ends_on", str(refused))
        else:
            messages.success(request, _("Saved."))
            return redirect("setup", slug)
    return _form(request, course, form, _WORDS["dates"])


@require_http_methods(GET_OR_POST)
@signed_in
@never_cache
def setup_money(request: HttpRequest, slug: str) -> HttpResponse:
    """The first amounts. A course that has its budget keeps it: then only what newcomers get is asked."""
    course, who, now = course_to_set_up(request.user, slug), person(request), timezone.now()
    root = Budget.objects.filter(course=course, level=Level.COURSE).first()
    known = BudgetDefaults.objects.filter(course=course).first()
    initial = {"course_usd": root.amount_usd.quantize(CENTS)} if root else {}
    if known:
        initial |= {"team_usd": known.team_usd.quantize(CENTS), "person_usd": known.person_usd.quantize(CENTS)}
    form = MoneyForm(request.POST or None, initial=initial)
    if root:
        form.fields["course_usd"].disabled = True
    if form.is_bound and form.is_valid():
        said, why = form.cleaned_data, _("Set-up of the course")
        with transaction.atomic():
            if root is None:
                create_budget(
                    Level.COURSE,
                    amount_usd=said["course_usd"],
                    parent=None,
                    course=course,
                    why=why,
                    who=who,
                    now=now,
                )
            set_defaults(course, team_usd=said["team_usd"], person_usd=said["person_usd"])
            opened = open_missing(course, why=why, who=who, now=now)
            confirm_step(course, "money", who=who, now=now)
        messages.success(request, _("Saved; %(n)d budgets were opened. Others stay as they are.") % {"n": opened})
        return redirect("setup", slug)
    told = _("The course’s own amount is changed on the page of budgets, with a reason.") if root else ""
    return _form(request, course, form, _WORDS["money"], told=told)


@require_POST
@signed_in
def setup_presets(request: HttpRequest, slug: str) -> HttpResponse:
    """Three presets to begin with, from one image."""
    course = course_to_set_up(request.user, slug)
    image = request.POST.get("image_id", "").strip()
    if not IMAGE.match(image):
        return _page(
            request, course, image=image[:80], image_error=_("An AMI looks like ami-0abc1234 or ami-0123456789abcdef0.")
        )
    if course.presets.exists():
        messages.info(request, _("There are presets already: change those."))
    else:
        made = starter_presets(course, image, who=person(request), now=timezone.now())
        messages.success(request, _("%(n)d presets are offered. Change them as you like.") % {"n": len(made)})
    return redirect("setup", slug)


@require_POST
@signed_in
def setup_confirm(request: HttpRequest, slug: str) -> HttpResponse:
    course = course_to_set_up(request.user, slug)
    step = request.POST.get("step", "")
    if step in STEPS:
        confirm_step(course, step, who=person(request), now=timezone.now())
    return redirect("setup", slug)


@require_http_methods(GET_OR_POST)
@signed_in
@never_cache
def setup_copy(request: HttpRequest, slug: str) -> HttpResponse:
    """The next term's course from this one, without its people and its money."""
    old, me = course_to_set_up(request.user, slug), person(request)
    initial = {name: getattr(old, name) for name in ("name", "timezone", "contact", "email_domain")}
    form = CourseForm(request.POST or None, initial={**initial, "instructor": me.email, "instructor_name": str(me)})
    if form.is_bound and form.is_valid():
        said, now = form.cleaned_data, timezone.now()
        try:
            with transaction.atomic():
                new = copy_course(
                    old, form.facts(), instructor=said["instructor"], name=said["instructor_name"], who=me, now=now
                )
                if said["instructor"] != me.email:
                    invite(request, new, said["instructor"])
        except SetUpRefused as refused:
            form.add_error(refused.field, str(refused))
        else:
            mine = said["instructor"] == me.email or me.is_operator
            messages.success(request, _("“%(name)s” is there, without people and money.") % {"name": new.name})
            return redirect("setup", new.slug if mine else slug)
    title = gettext_lazy("Copy to the next term")
    words = gettext_lazy("Presets, rules and help texts come along; people, codes and money do not.")
    return _form(request, old, form, (title, words), button=_("Copy the course"))


def _form(
    request: HttpRequest,
    course: Course,
    form: object,
    words: tuple[object, object],
    *,
    button: str = "",
    told: str = "",
) -> HttpResponse:
    title, said = words
    context = {"course": course, "form": form, "title": title, "words": said, "button": button, "told": told}
    context |= {"is_staff": _is_staff(request, course), "below": True}
    errors = getattr(form, "errors", None)
    return render(request, "setup/form.html", context, status=422 if errors else 200)
