"""What is kept about a person, table by table: what of it they are shown, and what is removed when they are forgotten.

`tests/privacy` compares this list with the models: a new table that names a person needs a line here, or one in
`NOT_ABOUT`. Amounts, ids and states stay for ever; names, addresses and what somebody wrote do not.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.apps import apps
from django.db.models import CharField, Q, QuerySet, Value
from django.db.models.functions import Cast, Concat
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from courses.models import Enrollment, User
from instances.event_records import STAFFS


@dataclass(frozen=True, slots=True)
class Whose:
    """A person as far as it is to be looked at: some of their roster lines; the account itself, or not."""

    lines: Sequence[Enrollment]
    user: User | None

    @property
    def addresses(self) -> list[str]:
        mine = {line.email for line in self.lines} | ({self.user.email} if self.user else set())
        return sorted(address for address in mine if address)

    @property
    def names(self) -> list[str]:
        mine = {line.name for line in self.lines} | ({self.user.full_name} if self.user else set())
        return sorted(name for name in mine if name)


Mine = Callable[[Whose], Q]
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
_FORGOTTEN = Concat(Value("Former member "), Cast("pk", CharField()), output_field=CharField())


@dataclass(frozen=True, slots=True)
class Kept:
    label: str
    title: str | Promise
    mine: Mine
    show: Sequence[str] = ()  # columns of the person's own file; empty: in another table already
    blank: Mapping[str, Any] = field(default_factory=dict)  # what the columns become
    delete: bool = False  # the rows go altogether
    staffs: Q | None = None  # rows written for staff: not in the person's file, forgotten like the others

    def rows(self, whose: Whose) -> QuerySet[Any]:
        return apps.get_model(self.label)._default_manager.filter(self.mine(whose))

    def shown(self, whose: Whose) -> QuerySet[Any]:
        return self.rows(whose).exclude(self.staffs) if self.staffs else self.rows(whose)


def _lines(name: str) -> Mine:
    return lambda whose: Q(**{f"{name}__in": whose.lines})


def _user(name: str) -> Mine:
    return lambda whose: Q(**{name: whose.user.pk}) if whose.user else Q(pk__in=[])


def _either(*ways: Mine) -> Mine:
    def mine(whose: Whose) -> Q:
        found = Q()
        for way in ways:
            found |= way(whose)
        return found

    return mine


def _whys(*names: str) -> dict[str, object]:
    return dict.fromkeys(names, "")


KEPT: Sequence[Kept] = (
    Kept("courses.User", _("Account"), _user("pk"), ("email", "full_name", "date_joined", "last_login")),
    Kept("account.EmailAddress", _("Addresses"), _user("user"), ("email", "verified"), delete=True),
    Kept(
        "socialaccount.SocialAccount",
        _("Sign-in accounts"),
        _user("user"),
        ("provider", "uid", "last_login", "date_joined", "extra_data"),
        delete=True,
    ),
    Kept(
        "instances.SshKey",
        _("SSH keys"),
        _user("user"),
        ("name", "public_key", "fingerprint", "added_at", "last_used_at"),
        delete=True,
    ),
    Kept("mfa.Authenticator", _("Second factors"), _user("user"), ("type", "created_at", "last_used_at"), delete=True),
    Kept(
        "courses.Enrollment",
        _("Courses"),
        lambda whose: Q(pk__in=[line.pk for line in whose.lines]),
        ("course__name", "role", "status", "name", "email", "section", "team__name", "opaque_id", "created_at"),
    ),
    Kept(
        "courses.CourseEvent",
        _("Changes of your place in the course"),
        _lines("enrollment"),
        ("at", "kind", "why", "facts", "who__full_name"),
        {"why": "", "facts": {}},  # the names of what was changed stay: the audit has them
    ),
    Kept(
        "courses.TeamInvitation",
        _("Team invitations"),
        _either(_lines("invited"), _lines("by")),
        ("at", "team__name", "status", "answered_at"),
    ),
    Kept(
        "courses.AuditEntry",
        _("Audit: what you did, and who looked at what is yours"),
        _either(_lines("about"), _user("who")),
        ("at", "kind", "what", "who__full_name", "course__name", "address", "facts"),
    ),
    Kept("courses.AuditNote", _("Audit"), _either(_lines("about"), _user("who"))),
    Kept(
        "credits.CreditCode",
        _("Credit codes (never their text)"),
        _lines("holder"),
        ("batch__name", "batch__value_usd", "last4", "status", "claimed_at"),
    ),
    Kept(
        "credits.CodeEvent",
        _("What happened to your codes"),
        _either(_lines("code__holder"), _user("who")),
        ("at", "verb", "code__last4", "why", "address", "who__full_name"),
        {"why": "", "address": None},
    ),
    Kept("credits.CodeShare", _("Shares in team codes"), _lines("enrollment"), ("code__last4", "batch__name")),
    Kept(
        "credits.CodeWait",
        _("Places in queues for codes"),
        _lines("enrollment"),
        ("batch__name", "seq", "at", "closed_at", "why"),
    ),
    Kept(
        "credits.FailedReport",
        _("Codes that failed"),
        _lines("enrollment"),
        ("at", "cause", "message", "status", "why", "decided_at", "address"),
        {"message": "", "why": "", "address": None},
    ),
    Kept(
        "credits.CreditRequest",
        _("Requests for more"),
        _lines("enrollment"),
        ("at", "amount_usd", "reason", "status"),
        _whys("reason"),
    ),
    Kept(
        "credits.RequestDecision",
        _("Answers to them"),
        _lines("request__enrollment"),
        ("at", "verb", "amount_usd", "why", "who__full_name"),
        _whys("why"),
    ),
    Kept(
        "credits.ContestPlace",
        _("Places in contests"),
        _lines("enrollment"),
        ("contest__name", "rank", "name", "score", "awarded_at"),
        {"name": _FORGOTTEN},
    ),
    Kept(
        "credits.Letter",
        _("Mails sent to you"),
        lambda whose: Q(to__in=whose.addresses),
        ("created_at", "to", "subject", "body", "sent_at"),
        delete=True,
    ),
    Kept(
        "spend.Budget",
        _("Budgets"),
        _lines("enrollment"),
        ("course__name", "name", "amount_usd", "spent_usd", "held_usd"),
        {"name": _FORGOTTEN},
    ),
    Kept(
        "spend.MoneyMove",
        _("Money moved"),
        _lines("budget__enrollment"),
        ("at", "kind", "amount_usd", "key", "why", "who__full_name"),
        _whys("why"),
    ),
    Kept(
        "spend.BudgetRelease",
        _("Money released later"),
        _lines("budget__enrollment"),
        ("release_at", "amount_usd", "why", "released_at"),
        _whys("why"),
    ),
    Kept(
        "spend.Charge",
        _("Charges by the hour"),
        _lines("enrollment"),
        ("hour", "kind", "key", "seconds", "amount_usd"),
    ),
    Kept(
        "spend.Correction",
        _("Corrections of charges"),
        _lines("enrollment"),
        ("day", "kind", "amount_usd", "cause", "why"),
        _whys("why"),
    ),
    Kept(
        "spend.Alarm",
        _("Alerts about you"),
        _lines("about"),
        ("raised_at", "kind", "title", "text", "cleared_at"),
        {"title": "", "text": "", "facts": {}, "seen_note": ""},
    ),
    Kept("spend.ReportReader", _("That you get the weekly report"), _lines("enrollment"), ("asked_at", "last_week")),
    Kept("spend.AlarmNote", _("Alerts to you"), _lines("to"), ("alarm__title",)),
    Kept(
        "instances.Instance",
        _("Machines"),
        _lines("owner"),
        ("slug", "preset__name", "state", "reason", "instance_type", "created_at", "last_active_at", "last_report"),
        {"reason": "", "last_report": {}},
    ),
    Kept(
        "instances.Run",
        _("Runs of your machines"),
        _lines("instance__owner"),
        ("instance__slug", "number", "instance_type", "price_usd_hour", "started_at", "ended_at", "sent_bytes"),
    ),
    Kept(
        "instances.InstanceEvent",
        _("What happened to your machines"),
        _lines("instance__owner"),
        ("at", "instance__slug", "kind", "new_state", "reason", "who__full_name", "mail_to"),
        {"reason": "", "mail_to": ""},
        staffs=Q(kind__in=STAFFS),
    ),
    Kept(
        "instances.DiskSnapshot",
        _("Copies of disks"),
        _lines("owner"),
        ("instance__slug", "why", "size_gb", "wanted_at", "keep_until", "until", "reason"),
        _whys("reason"),
    ),
    Kept(
        "instances.HomeArchive",
        _("Downloads of your files"),
        _lines("owner"),
        ("instance__slug", "asked_at", "size_bytes", "ready_at", "expires_at", "cleared_at", "reason"),
        {"reason": "", "mark": None, "expires_at": _LONG_AGO},  # the round deletes the file itself
    ),
    Kept(
        "instances.HomeDownload",
        _("When you fetched them"),
        _either(_lines("archive__owner"), _user("who")),
        ("at", "archive__instance__slug", "address"),
        {"address": None},
    ),
    Kept(
        "instances.LaunchApproval",
        _("Approvals asked for"),
        _lines("enrollment"),
        ("at", "preset__name", "why", "status", "note", "decided_at"),
        _whys("why", "note"),
    ),
    Kept(
        "instances.PersonLimits",
        _("Exceptions made for you"),
        _lines("enrollment"),
        ("keep_hours", "at_once", "ends_on", "extra_presets", "only_presets"),
    ),
    # The reason is between the person and the instructors: it is told in person, not in a file that gets forwarded.
    Kept(
        "instances.Override",
        _("When they were made (ask an instructor for the reason)"),
        _lines("enrollment"),
        ("at", "kind", "before", "after"),
        _whys("why"),
    ),
    Kept("instances.NotebookTicket", _("Notebook tickets"), _user("user"), delete=True),
    Kept(
        "instances.NotebookGrant",
        _("Open notebooks"),
        _user("user"),
        ("instance__slug", "created_at", "expires_at", "revoked_at"),
        delete=True,
    ),
    Kept(
        "credits.ImportDraft", _("Lists not yet confirmed"), _user("who"), ("course__name", "created_at"), delete=True
    ),
)

# Tables that point to a person and hold nothing about them: sums of the above, or who of the staff did something. The
# name that a page then shows is the account's, which is removed with it.
NOT_ABOUT: Mapping[str, str] = {
    "courses.User_groups": "unused",
    "courses.User_user_permissions": "unused",
    "courses.RosterProfile": "staff: who used it last",
    "credits.RedemptionCause": "staff: who changed it",
    "credits.Contest": "staff: who made it",
    "credits.CourseRedemption": "staff: who asked",
    "credits.BatchEvent": "staff: who decided",
    "spend.DailySpend": "sums of charges",
    "spend.PersonTotal": "sums of charges",
    "spend.Drift": "sums of charges against the provider's",
    "spend.Reconciliation": "staff: who looked",
    "instances.CourseImage": "staff: who saved it",
    "instances.CloudAccount": "staff: who added it, who gave it up",
    "instances.TeamAccount": "staff: who bound the team",
    "instances.Halt": "staff: who stopped the course",
    "instances.Closing": "staff: who announced it; its statement has ids and amounts",
    "instances.FireDrill": "staff: who lit the canary",
    "instances.DrillRound": "what a guard did to it",
    "instances.GuardProof": "times of the machines above",
    "instances.HomeworkSource": "staff: who added it, who gave it up",
    "instances.Homework": "staff: who added it, who gave it up",
    "instances.QuotaAsk": "staff: who asked",
    "instances.PolicyEdit": "staff: who changed it",
    "instances.CourseSsh": "staff: who switched it",
    "instances.MachineTunnel": "keys and addresses of a machine",
    "instances.GuardStop": "times of the machines above",
    "instances.GuardSaving": "sums of them",
}
