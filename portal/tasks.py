"""The queue's doors of what joins all apps: the audit, what is forgotten, the weekly report, the heartbeat."""

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from instances.trace_purge import purge_traces
from portal import auditing, forgetting, heartbeat, weekly


@shared_task
def sweep_audit() -> None:
    auditing.collect(timezone.now())


@shared_task
def sweep_retention() -> None:
    forgetting.retain(timezone.now())
    purge_traces(timezone.now(), settings.TRACE_DAYS)


@shared_task
def sweep_weekly() -> None:
    weekly.mail_due(timezone.now())


@shared_task
def sweep_heartbeat() -> None:
    heartbeat.ping(settings.HEARTBEAT_URL, timezone.now(), settings.SWEEP_SECONDS)
