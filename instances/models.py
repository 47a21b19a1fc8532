"""Machines: presets, the machines made from them, their runs and notebook grants."""

import secrets
from decimal import Decimal
from functools import cached_property
from typing import Any, ClassVar

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from courses.models import Course, Enrollment, User
from instances.idle import Limits
from instances.policy_rules import Night, Rules, windows_from
from instances.states import ENDED, State

_SLUG_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"  # a DNS label; no letters that are misread


def _usd_hour(*, null: bool = False, **more: Any) -> models.DecimalField:
    return models.DecimalField(max_digits=10, decimal_places=6, null=null, blank=null, **more)


def new_slug() -> str:
    return "m" + "".join(secrets.choice(_SLUG_LETTERS) for _n in range(11))


class Policy(models.Model):
    """When a course's machines count as unused. Seconds. The cap is not here: nothing switches it off.

    Changed by `policy_edits` alone, which leaves a row of each change. What the JSON holds: `policy_rules.py`.
    """

    course = models.OneToOneField(Course, models.CASCADE, related_name="machine_policy")
    quiet_seconds = models.PositiveIntegerField(default=1800)  # no work for so long: stopped
    warn_seconds = models.PositiveIntegerField(default=600)  # warned so long before
    blind_seconds = models.PositiveIntegerField(default=900)  # no report for so long: warned, then stopped
    hung_seconds = models.PositiveIntegerField(default=3600)  # "busy" without any resource use counts so long
    boot_seconds = models.PositiveIntegerField(default=900)  # the first report must come within
    keep_hours_max = models.PositiveIntegerField(default=12)
    report_seconds = models.PositiveIntegerField(default=60)  # how often the agent reports
    windows = models.JSONField(default=list)  # dated: other limits in crunch week
    night = models.JSONField(null=True, blank=True)  # asks "still training?"
    save_script = models.TextField(blank=True)  # runs on a machine before it is stopped
    save_seconds = models.PositiveIntegerField(default=60)  # and is cut off after so long

    def __str__(self) -> str:
        return f"{self.course}: {self.quiet_seconds} s"

    @cached_property
    def rules(self) -> Rules:
        """Read once: a sweep asks for each of a course's machines."""
        return Rules(
            limits=Limits(
                quiet=self.quiet_seconds,
                warn=self.warn_seconds,
                blind=self.blind_seconds,
                hung=self.hung_seconds,
                boot=self.boot_seconds,
            ),
            windows=tuple(windows_from(self.windows)),
            night=Night(**self.night) if self.night else None,
            keep_hours=self.keep_hours_max,
            save_script=self.save_script,
            save_seconds=self.save_seconds,
        )

    @classmethod
    def of(cls, course: Course) -> "Policy":
        """The course's policy, or the default one (not saved)."""
        return getattr(course, "machine_policy", None) or cls(course=course)


class Preset(models.Model):
    """A kind of machine by purpose: what a student picks."""

    class Market(models.TextChoices):
        ON_DEMAND = "on-demand", _("On demand")
        SPOT = "spot", _("Spot: cheaper, and AWS may take it back with two minutes' notice")

    course = models.ForeignKey(Course, models.CASCADE, related_name="presets")
    slug = models.SlugField()
    name = models.CharField(max_length=80)  # "Homework: T4 16 GB"
    purpose = models.CharField(max_length=200, blank=True)
    instance_types = models.JSONField(default=list)  # in order of preference
    # Which image: of this region in `images`, else `image_id`, else the first of `image_parameters` that exists.
    image_id = models.CharField(max_length=60, blank=True)
    images = models.JSONField(default=dict, blank=True)  # {"us-west-2": "ami-…"}
    image_parameters = models.JSONField(default=list, blank=True)  # names of SSM parameters, in order
    market = models.CharField(max_length=10, choices=Market, default=Market.ON_DEMAND)
    disk_gb = models.PositiveIntegerField(default=64, validators=[MinValueValidator(8)])
    lease_seconds = models.PositiveIntegerField(default=4 * 3600)  # one step, held for in full
    longest_seconds = models.PositiveIntegerField(null=True, blank=True)  # of one run, used or not; empty: no limit
    ceiling_usd_hour = _usd_hour()  # no type above this price is ever tried
    per_person = models.PositiveIntegerField(default=1)  # machines at once
    per_team = models.PositiveIntegerField(null=True, blank=True)  # of a team's members together; empty: no limit
    audience = models.JSONField(default=dict, blank=True)  # who may use it: a rule as `credits.entitlement` reads it
    needs_approval = models.BooleanField(default=False)  # each launch is asked for, and allowed by staff
    alternative_name = models.CharField(max_length=60, blank=True)  # what is free and may do as well: "Colab"
    alternative_url = models.URLField(blank=True)
    position = models.PositiveIntegerField(default=0)
    enabled = models.BooleanField(default=True)

    class Meta:
        ordering = ("position", "name")
        constraints = (models.UniqueConstraint(fields=("course", "slug"), name="preset_slug_once_per_course"),)

    def __str__(self) -> str:
        return self.name

    def image_in(self, region: str) -> str:
        """The image that it names for launches there; "" when only a parameter may tell."""
        return str(self.images.get(region) or self.image_id)


class Instance(models.Model):
    """One machine of one person. Facts are stored, moods ("warned", "idle") are derived from the timestamps."""

    STATES: ClassVar = [(s.value, s.value) for s in State]

    slug = models.CharField(max_length=12, unique=True, default=new_slug)  # host label and tag
    owner = models.ForeignKey(Enrollment, models.PROTECT, related_name="instances")
    course = models.ForeignKey(Course, models.PROTECT, related_name="instances")
    account = models.ForeignKey("CloudAccount", models.PROTECT, null=True, blank=True, db_index=False)  # null: our own
    preset = models.ForeignKey(Preset, models.PROTECT, related_name="instances")
    state = models.CharField(max_length=12, choices=STATES, default=State.REQUESTED)
    state_since = models.DateTimeField()
    reason = models.CharField(max_length=300, blank=True)  # why it is in this state, for its student

    # Frozen before AWS is asked, so that asking again is the same question: a client token with other fields is
    # refused, and another token is another machine.
    attempt = models.PositiveIntegerField(default=0)
    # [[instance_type, zone, "usd/hour"], ...] still to be tried, in order; zone "" until AWS is asked
    candidates = models.JSONField(default=list)
    wanted = models.JSONField(default=list)  # the candidates of the request, for each new turn in the queue
    instance_type = models.CharField(max_length=40, blank=True)
    zone = models.CharField(max_length=20, blank=True)
    image_id = models.CharField(max_length=60, blank=True)  # empty until AWS is asked, where a parameter names it
    disk_gb = models.PositiveIntegerField()
    price_usd_hour = _usd_hour(null=True)  # of `instance_type`, frozen
    address_usd_hour = _usd_hour(default=Decimal(0))
    disk_usd_hour = _usd_hour(default=Decimal(0))
    lease_seconds = models.PositiveIntegerField()
    # The limits that its user data tells: a policy that changes between two attempts must not change the question.
    birth_limits = models.JSONField(default=dict)
    run_number = models.PositiveIntegerField(default=1)  # of the run that is on, or is being started
    asked_at = models.DateTimeField(null=True, blank=True)  # last launch or start call of this attempt
    calling_until = models.DateTimeField(null=True, blank=True)  # a process is in that call: others wait so long
    # In the queue while there is no machine yet: since when, for what, how often AWS said no, when it is asked next.
    queued_at = models.DateTimeField(null=True, blank=True)
    queued_for = models.CharField(max_length=10, blank=True)
    queue_tries = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True, blank=True)
    notebook_token = models.TextField()  # encrypted
    agent_digest = models.CharField(max_length=64)  # SHA-256 of the secret that the agent reports with
    agent_secret = models.TextField()  # encrypted; needed again when a launch is repeated

    # What AWS says.
    cloud_id = models.CharField(max_length=40, blank=True, db_index=True)
    private_ip = models.GenericIPAddressField(null=True, blank=True)
    seen_at = models.DateTimeField(null=True, blank=True)  # last time a describe listed it, stopped or not
    absent_since = models.DateTimeField(null=True, blank=True)  # describes have not listed it since
    notebook_ready_at = models.DateTimeField(null=True, blank=True)  # the notebook answered, in this run
    disk_since = models.DateTimeField(null=True, blank=True)
    disk_until = models.DateTimeField(null=True, blank=True)  # machine and disk were gone
    disk_metered_until = models.DateTimeField(null=True, blank=True)
    restored_from = models.ForeignKey("DiskSnapshot", models.PROTECT, "restored", null=True, blank=True)
    spot = models.BooleanField(default=False)  # at Spot's price in force, at most at `price_usd_hour`
    spot_request = models.CharField(max_length=40, blank=True)
    cloud_type = models.CharField(max_length=40, blank=True)  # its type at AWS; empty: unknown, so a start asks for it
    # What AWS's machine was, until it is what the row says. "leave": a yes of the staff was used, at this run's number.
    resized_from = models.JSONField(default=dict, blank=True)
    restart_wanted_at = models.DateTimeField(null=True, blank=True)
    archive_warned_at = models.DateTimeField(null=True, blank=True)  # told that its disk is unused
    disk_settled_at = models.DateTimeField(null=True, blank=True)  # last charge posted, hold released

    # Leases and idleness.
    lease_until = models.DateTimeField(null=True, blank=True)
    guard_until = models.DateTimeField(null=True, blank=True)  # when AWS's own schedule stops it
    kept_until = models.DateTimeField(null=True, blank=True)
    last_active_at = models.DateTimeField(null=True, blank=True)
    last_human_at = models.DateTimeField(null=True, blank=True)
    hung_since = models.DateTimeField(null=True, blank=True)
    last_report_at = models.DateTimeField(null=True, blank=True)
    last_report = models.JSONField(default=dict)  # the newest counters, to take differences from
    trace = models.JSONField(default=list)  # what this run was used for: `trace.py`
    idle_hours = models.JSONField(default=dict)  # "<run>:<UTC hour>": seconds of it that were surely not used
    warned_at = models.DateTimeField(null=True, blank=True)
    warned_until = models.DateTimeField(null=True, blank=True)  # the stop that this warning told: never before it
    own_rules = models.JSONField(null=True, blank=True)  # of before an edit that is not for it; empty: the course's
    # The second eye, while the agent is silent: when it last looked, and whether anything answered.
    eye_at = models.DateTimeField(null=True, blank=True)
    eye_saw = models.CharField(max_length=20, blank=True)
    awaited = models.JSONField(default=dict)  # {"task", "name"}: stopped when it ends, as its student asked
    done_at = models.DateTimeField(null=True, blank=True)  # it ended
    reclaim_at = models.DateTimeField(null=True, blank=True)  # AWS takes a Spot machine back then
    leaving_at = models.DateTimeField(null=True, blank=True)  # a person stopped it: saves until then at most
    leaving = models.JSONField(default=dict)  # who stopped it, and why: `leaving.py`
    unfunded_at = models.DateTimeField(null=True, blank=True)  # told that it gets no longer lease
    stop_asked_at = models.DateTimeField(null=True, blank=True)  # of the last request to AWS to stop or terminate
    stop_tries = models.PositiveIntegerField(default=0)
    given_up = models.BooleanField(default=False)  # in this state because AWS's answer did not come, nor was found
    ending_by = models.CharField(max_length=10, blank=True)  # which guard ends this run, as far as known: `Guard`
    proving = models.CharField(max_length=10, blank=True)  # a fire drill's canary: whose turn it is (`drill_rules`)

    created_at = models.DateTimeField()

    class Meta:
        ordering = ("-created_at",)
        indexes = (
            # The sweeps' only question. Ended machines are not in it, so sweeps do not grow with history.
            models.Index(fields=("state",), condition=~Q(state__in=sorted(ENDED)), name="machines_not_ended"),
            models.Index(
                fields=("id",),
                condition=Q(disk_settled_at=None, disk_since__isnull=False),
                name="disks_to_settle",
            ),
            models.Index(
                fields=("queued_at",), condition=Q(queued_at__isnull=False, cloud_id=""), name="machines_in_queue"
            ),
            models.Index(fields=("owner", "-created_at")),
            models.Index(fields=("course", "-created_at")),
        )

    def __str__(self) -> str:
        return self.slug

    @property
    def token(self) -> str:
        """The client token of the attempt under way."""
        return f"{self.slug}-{self.attempt}"

    @property
    def run_hold_key(self) -> str:
        return f"machine/{self.slug}/run/{self.run_number}"

    @property
    def disk_key(self) -> str:
        return f"machine/{self.slug}/disk"

    @property
    def disk_usd_month(self) -> Decimal:
        return self.disk_usd_hour * 730

    @property
    def usd_hour(self) -> Decimal:
        """What a running hour costs, disk apart. Until a type is chosen: at most."""
        price = self.price_usd_hour
        if price is None:
            price = max((Decimal(usd) for _type, _zone, usd in self.candidates), default=Decimal(0))
        return price + self.address_usd_hour


class Run(models.Model):
    """One stretch of running, from start to stop, at one price: what the meter charges for."""

    instance = models.ForeignKey(Instance, models.PROTECT, related_name="runs")
    number = models.PositiveIntegerField()
    instance_type = models.CharField(max_length=40)
    price_usd_hour = _usd_hour()  # what is held for: with Spot the most that may be asked
    # [[moment in UTC, "usd/hour"], ...]: from then on another price is in force (Spot). Empty: the one above.
    price_changes = models.JSONField(default=list)
    address_usd_hour = _usd_hour()
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    seen_at = models.DateTimeField(null=True, blank=True)  # last time the cloud said that it runs
    # First time since that the cloud said that it stops: where it does not tell when it ended, not after this.
    stopping_at = models.DateTimeField(null=True, blank=True)
    metered_until = models.DateTimeField(null=True, blank=True)  # charges are posted up to here
    settled_at = models.DateTimeField(null=True, blank=True)  # last charge posted, hold released
    trace = models.JSONField(default=list)  # what it was used for, when it has ended: `trace.py`
    ended_by = models.CharField(max_length=10, blank=True)  # the guard that ended it; empty: a person, or AWS
    sent_bytes = models.PositiveBigIntegerField(default=0)  # as its agent counts: `egress.py`

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("instance", "number"), name="run_number_once"),
            models.UniqueConstraint(fields=("instance",), condition=Q(ended_at=None), name="one_open_run_per_machine"),
        )
        indexes = (
            models.Index(fields=("settled_at",), condition=Q(settled_at=None), name="runs_to_settle"),
            models.Index(fields=("started_at",)),
        )

    def __str__(self) -> str:
        return f"{self.instance} run {self.number}"

    @property
    def hold_key(self) -> str:
        return f"machine/{self.instance.slug}/run/{self.number}"

    @property
    def usd_hour(self) -> Decimal:
        return self.price_usd_hour + self.address_usd_hour


class StrayMachine(models.Model):
    """A machine at AWS with our tag and without a machine of ours behind it: stopped, and shown to staff."""

    cloud_id = models.CharField(max_length=40, unique=True)
    name = models.CharField(max_length=40, blank=True)
    instance_type = models.CharField(max_length=40)
    cloud_state = models.CharField(max_length=20)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()

    class Meta:
        ordering = ("-last_seen_at",)

    def __str__(self) -> str:
        return self.cloud_id


class NotebookTicket(models.Model):
    """Takes a signed-in browser over to the notebook's host: works once, for a minute."""

    digest = models.CharField(max_length=64, unique=True)
    instance = models.ForeignKey(Instance, models.CASCADE, related_name="tickets")
    user = models.ForeignKey(User, models.CASCADE)
    session_key = models.CharField(max_length=40)
    path = models.CharField(max_length=500, default="/lab")
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)


class NotebookGrant(models.Model):
    """One browser may use one notebook. Ends at once when revoked, with its open websockets."""

    digest = models.CharField(max_length=64, unique=True)  # SHA-256 of the cookie
    instance = models.ForeignKey(Instance, models.CASCADE, related_name="grants")
    user = models.ForeignKey(User, models.CASCADE)
    session_key = models.CharField(max_length=40, db_index=True)  # ends with this portal session
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)


class SweepBeat(models.Model):
    """When each sweep last ended well: the heartbeat of the guard itself."""

    name = models.CharField(max_length=40, primary_key=True)
    finished_at = models.DateTimeField()
    seconds = models.FloatField()
    looked_at = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return self.name


from instances.account_records import CloudAccount, TeamAccount  # noqa: E402, F401
from instances.approval_records import LaunchApproval  # noqa: E402, F401
from instances.closing_records import Closing  # noqa: E402, F401
from instances.deadlines import DeadlinePeak  # noqa: E402, F401
from instances.disk_records import DiskPolicy, DiskSnapshot  # noqa: E402, F401
from instances.drill_records import DrillRound, FireDrill, GuardProof  # noqa: E402, F401
from instances.egress import DataOut  # noqa: E402, F401
from instances.event_records import InstanceEvent as InstanceEvent  # noqa: E402
from instances.halts import Halt, HaltedMachine  # noqa: E402, F401
from instances.home_records import HomeArchive, HomeDownload, HomePart  # noqa: E402, F401
from instances.homework import Homework, HomeworkSource  # noqa: E402, F401
from instances.image_records import CourseImage  # noqa: E402, F401
from instances.limits import Override, PersonLimits  # noqa: E402, F401
from instances.offer_records import ForeignMachine, PresetCheck, QuotaAsk, TypePrice  # noqa: E402, F401
from instances.policies import PolicyEdit  # noqa: E402, F401
from instances.savings import GuardSaving, GuardStop  # noqa: E402, F401
from instances.ssh_records import CourseSsh, SshKey  # noqa: E402, F401
from instances.tunnel_records import MachineTunnel, TunnelHost  # noqa: E402, F401
