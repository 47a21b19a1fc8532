"""One team's own AWS account, linked as staff do it; the simulated AWS plays whoever deploys the template there.

No machine in it: each one starts a real JupyterLab, and the demo's first minute has enough to start.
"""

import json
import urllib.request
from datetime import datetime

from django.conf import settings

from cloud.backends import cloud
from courses.models import Course, Team, User
from demo import people
from demo.seed.course import PROJECTS, SLUG
from instances import account_checks, account_edits
from instances.account_records import CloudAccount

NUMBER = "210987654321"
_TEAM = PROJECTS[-1]  # not the visitor's own


def link_an_account(now: datetime) -> bool:
    """Said at every start; what an interrupted one left is finished. False when there was nothing to do."""
    course = Course.objects.filter(slug=SLUG).first()
    if not settings.AWS_ENDPOINT_URL or course is None:
        return False
    who = User.objects.get(email=people.INSTRUCTOR.email)
    account = CloudAccount.objects.filter(course=course, account_id=NUMBER).first()
    if account is not None and account.checked_at is not None:
        return False
    if account is None:
        account = account_edits.add(course, f"{_TEAM}: the team's own", NUMBER, who=who, now=now)
    # The machine room's addresses are this computer's own: its network is joined to the portal's.
    account_edits.tell_stack(account, _deployed(account.external_id), joined=True, who=who, now=now)
    team = Team.objects.get(course=course, name__endswith=_TEAM)
    account_edits.bind(account, team, who=who, now=now)
    account.refresh_from_db()
    account_checks.attend(account, cloud=cloud(), now=now)
    return True


def _deployed(external_id: str) -> str:
    """The stack's output, after whoever owns the account has deployed the template with this external id."""
    body = json.dumps({"account_id": NUMBER, "external_id": external_id}).encode()
    address = f"{settings.AWS_ENDPOINT_URL}/sim/accounts"
    request = urllib.request.Request(address, data=body, method="POST")  # noqa: S310 - the demo's own process
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - as above
        told = json.load(answer)
    names = {"role": "role_arn", "stop_role": "scheduler_role_arn", "security_group": "security_group"}
    return json.dumps({ours: told[name] for ours, name in names.items()} | {"subnets": told["subnets"]})
