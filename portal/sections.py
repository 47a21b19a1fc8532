"""The staff's map of a course: each staff page has its place in one section. Links only: access is each page's own.

A page that is not listed here shows up in the section whose address its own begins with.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from courses.models import Enrollment, Role


@dataclass(frozen=True, slots=True)
class Page:
    name: str  # of the URL, whose only argument is the course's slug
    label: Promise
    instructors: bool = False  # TAs get 404 there


@dataclass(frozen=True, slots=True)
class Section:
    label: Promise
    pages: Sequence[Page]
    own_tabs: bool = False  # its pages bring tabs of their own, with counts


SECTIONS: Sequence[Section] = (
    Section(_("Overview"), (Page("course_staff", _("Overview")),)),
    Section(
        _("Money"),
        (
            Page("spend", _("Where it goes")),
            Page("course_budgets", _("Budgets")),
            Page("course_alerts", _("Alerts")),
            Page("spend_bill", _("AWS’s bill")),
        ),
    ),
    Section(
        _("People"),
        (
            Page("roster", _("Roster")),
            Page("roster_import", _("Bring in a list")),
            Page("teams", _("Teams")),
            Page("course_entry", _("Who may enter"), instructors=True),
            Page("course_privacy", _("Privacy"), instructors=True),
        ),
    ),
    Section(
        _("Machines"),
        (
            Page("presets", _("Presets")),
            Page("launch_approvals", _("Launches to allow")),
            Page("machine_policy", _("When machines stop")),
            Page("what_if", _("What if?")),
            Page("course_guards", _("Guards")),
            Page("homework_desk", _("Homework links")),
            Page("disks_desk", _("Disks")),
            Page("images_desk", _("Images")),
            Page("preflight", _("Preflight")),
            Page("accounts_desk", _("AWS accounts"), instructors=True),
            Page("course_halt", _("Kill switch")),
        ),
    ),
    Section(_("Codes"), (Page("credits_desk", _("Codes")),), own_tabs=True),
    Section(
        _("Set-up"),
        (
            Page("setup", _("Check list"), instructors=True),
            Page("course_closing", _("Close the term"), instructors=True),
        ),
    ),
    Section(_("Audit"), (Page("course_audit", _("Audit"), instructors=True),)),
)


@dataclass(frozen=True, slots=True)
class Link:
    label: Promise
    url: str
    is_here: bool  # this very page, or one below it


@dataclass(frozen=True, slots=True)
class Map:
    """What the page shows on top: the sections, and the pages of the one that it is in."""

    sections: Sequence[Link]
    pages: Sequence[Link]


def map_for(line: Enrollment, path: str) -> Map:
    """`line` is the staff member's own, `path` the address of the page that is open."""
    shown = [(section, _pages(section, line)) for section in SECTIONS]
    # Without the last slash: the files of a page are beside it (audit/ and audit.csv).
    above = [url for _section, pages in shown for _page, url in pages if path.startswith(url.rstrip("/"))]
    here = max(above, key=len, default="")
    sections, tabs = [], []
    for section, pages in shown:
        if not pages:
            continue
        is_here = any(url == here for _page, url in pages)
        sections.append(Link(section.label, pages[0][1], is_here))
        if is_here and len(pages) > 1 and not section.own_tabs:
            tabs = [Link(page.label, url, url == here) for page, url in pages]
    return Map(sections, tabs)


def _pages(section: Section, line: Enrollment) -> list[tuple[Page, str]]:
    is_instructor = line.role == Role.INSTRUCTOR
    shown = [page for page in section.pages if is_instructor or not page.instructors]
    return [(page, reverse(page.name, args=[line.course.slug])) for page in shown]
