"""What a linked account allows, and what else runs in it: quotas beside what the presets need, and GPU machines that
the portal did not start. Asked daily and at a click, kept as rows: a page asks AWS nothing."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Count, Q

from cloud.base import Cloud, CloudError
from courses.models import Course, EnrollmentStatus, Role
from instances.account_records import CloudAccount, TeamAccount
from instances.accounts import door_of, takes_what_there_is
from instances.foreign import NotOurs, foreign_in, note_foreign
from instances.models import Preset
from instances.preflight import text_for, wanted_from
from instances.preflight_rules import Line, lines, shortages
from instances.preset_checks import DAILY, types_found

logger = logging.getLogger(__name__)
SOON = timedelta(hours=1)  # what AWS did not answer is asked again so soon
_ALL = 100  # per cent at once: a team is too small for a usual share of it


def may_be_surveyed(account: CloudAccount) -> bool:
    """Only where the check found all in order: in no other account the portal asks around."""
    return account.shut_since is None and takes_what_there_is(account)


def is_due(account: CloudAccount, now: datetime) -> bool:
    asked = account.survey_asked_at
    after = DAILY if asked == account.surveyed_at else SOON
    return may_be_surveyed(account) and (asked is None or asked <= now - after)


def survey(account: CloudAccount, *, cloud: Cloud, now: datetime) -> None:
    """Asks and keeps the answer. What AWS does not say leaves what was known."""
    same = CloudAccount.objects.filter(pk=account.pk, role_arn=account.role_arn, removed_at=None)
    same.update(survey_asked_at=now)
    door, allowed = door_of(cloud, account), dict[str, int]()
    presets = Preset.objects.filter(course=account.course_id, enabled=True)
    try:
        found = {str(one.pk): [facts.as_data() for facts in types_found(one, door, allowed)] for one in presets}
        others = door.catalog.gpu_machines()
    except CloudError as error:
        logger.warning("account %s: AWS did not say what it allows: %s", account.account_id, error)
        return
    if same.update(offers=found, surveyed_at=now):
        note_foreign(others, account, now)


# ------------------------------------------------------------------ for the page
@dataclass(frozen=True, slots=True)
class Survey:
    """`people`: students of the teams that are bound to it, all of whom may run a machine at once."""

    people: int
    lines: Sequence[Line]
    unknown: Sequence[Preset]  # AWS was not asked about them yet, or offers none of their types there
    foreign: Sequence[NotOurs]
    as_of: datetime | None

    @property
    def short(self) -> list[tuple[Line, str]]:
        """Each quota that is too small, with a request that its owner can send."""
        return [(line, text_for(line)) for line in shortages(self.lines)]

    @property
    def foreign_usd_hour(self) -> Decimal:
        return sum((one.usd_hour for one in self.foreign if one.usd_hour), Decimal(0))


def surveys(course: Course, accounts: Sequence[CloudAccount], now: datetime) -> list[tuple[CloudAccount, Survey]]:
    """Each account with what is known of it. Four queries for all; asks AWS nothing."""
    presets = list(course.presets.filter(enabled=True))
    active = Q(team__members__role=Role.STUDENT, team__members__status=EnrollmentStatus.ACTIVE)
    bound = TeamAccount.objects.filter(account__in=accounts).values("account")
    counted = bound.annotate(n=Count("team__members", filter=active)).values_list("account", "n")
    people: dict[Any, int] = dict(counted.order_by())
    foreign = foreign_in(accounts, now)
    return [(one, _survey(one, presets, people.get(one.pk, 0), foreign.get(one.pk, []))) for one in accounts]


def _survey(account: CloudAccount, presets: Sequence[Preset], people: int, foreign: Sequence[NotOurs]) -> Survey:
    wanted = {one.pk: wanted_from(one, account.offers.get(str(one.pk), [])) for one in presets}
    return Survey(
        people=people,
        lines=lines([one for one in wanted.values() if one], people, _ALL),
        unknown=[one for one in presets if wanted[one.pk] is None],
        foreign=foreign,
        as_of=account.surveyed_at,
    )
