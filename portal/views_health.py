"""`/health` for monitors: does the database answer, and is each sweep still sweeping? Shows nothing about people."""

import logging

from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from instances.hearing import hearing
from portal.guards import guards

log = logging.getLogger(__name__)


@require_safe
@never_cache
def health(request: HttpRequest) -> JsonResponse:
    """200 when all is well, or was just started; 503 when the database is silent, a sweep is late, or machines of
    several people run and none has reported for five minutes.

    A start is nothing to wake anybody for: a sweep has as long as between any two rounds to end for the first time.
    """
    try:
        now = timezone.now()
        found, heard = guards(now, settings.SWEEP_SECONDS), hearing()
    except DatabaseError:
        log.exception("health: the database does not answer")
        return JsonResponse({"ok": False, "database": False, "sweeps": {}}, status=503)
    ok = not any(guard.late for guard in found) and not heard.is_trouble(now)
    sweeps = {g.name: {"age_seconds": g.age_seconds, "late": g.late} for g in found}
    told = {"ok": ok, "database": True, "starting": any(guard.starting for guard in found), "sweeps": sweeps}
    told["reports"] = {"newest_age_seconds": heard.age_seconds(now), "silent": heard.is_trouble(now)}
    return JsonResponse(told, status=200 if ok else 503)
