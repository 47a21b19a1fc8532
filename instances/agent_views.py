"""The machines' door: one report in, one answer out. No session, no cookie, no page."""

import hashlib
import hmac
import json

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from cloud.backends import files
from instances import home_agent, leaving, tasks
from instances.dispatch import send_after_commit
from instances.models import Instance
from instances.reports import InvalidReport, answer, parse, take_report
from instances.states import State

MOST_BYTES = 4096
MOST_HOME_BYTES = 64_000
REPORTING = (State.LAUNCHING, State.RUNNING)


@csrf_exempt  # no browser and no cookie: the secret is in the header
@require_POST
def agent_report(request: HttpRequest) -> HttpResponse:
    instance = _machine(request.headers.get("Authorization", ""))
    if instance is None:  # in JSON: a machine has no use for the page that tells a person so
        return JsonResponse({"error": "no such machine"}, status=404)
    if len(request.body) > MOST_BYTES:
        return JsonResponse({"error": f"a report has at most {MOST_BYTES} bytes"}, status=413)
    try:
        report = parse(request.body)
    except InvalidReport as error:
        return JsonResponse({"error": str(error)}, status=400)
    now = timezone.now()
    take_report(instance, report, now=now)
    if leaving.stop_if_due(instance, now=now):  # it has saved: nobody waits for the next round
        send_after_commit(tasks.stop, [instance.pk])
    return JsonResponse(answer(instance, now=now))


@csrf_exempt
@require_POST
def agent_home(request: HttpRequest) -> HttpResponse:
    """What the program says that packs its student's files. 410: there is nothing to pack, and it ends."""
    instance, bucket = _machine(request.headers.get("Authorization", "")), files()
    if instance is None or bucket is None:
        return JsonResponse({"error": "no such machine"}, status=404)
    if len(request.body) > MOST_HOME_BYTES:
        return JsonResponse({"error": f"at most {MOST_HOME_BYTES} bytes"}, status=413)
    try:
        said = json.loads(request.body)
        if not isinstance(said, dict):
            raise InvalidReport("a JSON object")
        told = home_agent.answer(instance, said, bucket, timezone.now())
    except home_agent.Over:
        return JsonResponse({"error": "nothing to pack"}, status=410)
    except (InvalidReport, ValueError) as error:
        return JsonResponse({"error": str(error)}, status=400)
    if "done" in told:
        send_after_commit(tasks.home_step, told.pop("done"))
    return JsonResponse(told)


def _machine(header: str) -> Instance | None:
    """The running machine that this secret belongs to. None tells nobody what exists."""
    scheme, _space, pair = header.partition(" ")
    slug, _colon, secret = pair.partition(":")
    machines = Instance.objects.filter(slug=slug, state__in=REPORTING).select_related(
        "course__machine_policy", "course__ssh", "owner"
    )
    found = machines.first() if scheme == "Bearer" else None
    digest = hashlib.sha256(secret.encode()).hexdigest()
    if found is None or not hmac.compare_digest(digest, found.agent_digest):
        return None
    return found
