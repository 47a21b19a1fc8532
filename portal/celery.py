"""The Celery application and its beat table: every sweep of the product, in one place.

Two queues: what is clicked, and the rounds. A worker takes from both in turn, so that five hundred launches, or an AWS
that answers slowly, do not keep the guard waiting; a worker of its own for the rounds is never in a click's call.
"""

import os
from typing import Any

from celery import Celery
from celery.signals import beat_init, worker_init, worker_process_init
from kombu import Exchange, Queue

from portal import file_broker

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
CLICKS, ROUNDS = "clicks", "rounds"

file_broker.register()
app = Celery("lamplighter")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
# Each its own exchange and key: those of the default queue would bring each message to both.
app.conf.task_queues = [Queue(name, Exchange(name), routing_key=name) for name in (CLICKS, ROUNDS)]
app.conf.task_default_queue = CLICKS
app.conf.task_routes = {"instances.tasks.follow": {"queue": ROUNDS}}


@app.on_after_finalize.connect
def _beat_table(sender: Celery, **_kwargs: object) -> None:
    from django.conf import settings

    every = float(settings.SWEEP_SECONDS)
    table: dict[str, dict[str, Any]] = {
        # The order does not matter: each sweep looks at levels, never at what another one did.
        "repair": {"task": "instances.tasks.sweep_repair", "schedule": every, "options": {"expires": every}},
        # Apart from the course's own account: one that answers slowly keeps no other machine waiting.
        "accounts": {"task": "instances.tasks.sweep_accounts", "schedule": every, "options": {"expires": every}},
        "meter": {"task": "instances.tasks.sweep_meter", "schedule": every, "options": {"expires": every}},
        "look": {"task": "instances.tasks.sweep_look", "schedule": every, "options": {"expires": every}},
        "idle": {"task": "instances.tasks.sweep_idle", "schedule": every, "options": {"expires": every}},
        "lease": {"task": "instances.tasks.sweep_lease", "schedule": every, "options": {"expires": every}},
        "disks": {"task": "instances.tasks.sweep_disks", "schedule": every, "options": {"expires": every}},
        "drills": {"task": "instances.tasks.sweep_drills", "schedule": every, "options": {"expires": every}},
        "images": {"task": "instances.tasks.sweep_images", "schedule": every, "options": {"expires": every}},
        "spot": {"task": "instances.tasks.sweep_spot", "schedule": every, "options": {"expires": every}},
        "queue": {"task": "instances.tasks.sweep_queue", "schedule": every, "options": {"expires": every}},
        # Each of its parts looks whether it is due: prices weekly, presets daily, other machines hourly.
        "offers": {"task": "instances.tasks.sweep_offers", "schedule": 600.0, "options": {"expires": 600.0}},
        "notices": {"task": "instances.tasks.sweep_notices", "schedule": every, "options": {"expires": every}},
        "halts": {"task": "instances.tasks.sweep_halts", "schedule": every, "options": {"expires": every}},
        "homes": {"task": "instances.tasks.sweep_homes", "schedule": every, "options": {"expires": every}},
        "closings": {"task": "instances.tasks.sweep_closings", "schedule": every, "options": {"expires": every}},
        "alerts": {"task": "instances.tasks.sweep_alerts", "schedule": every, "options": {"expires": every}},
        "credits": {"task": "credits.tasks.sweep_credits", "schedule": every, "options": {"expires": every}},
        # Seldom: AWS lists a new credit after hours. What is asked for by a click goes at once.
        "account": {"task": "credits.tasks.redeem_for_course", "schedule": 600.0, "options": {"expires": 600.0}},
        "heartbeat": {"task": "portal.tasks.sweep_heartbeat", "schedule": every, "options": {"expires": every}},
        "audit": {"task": "portal.tasks.sweep_audit", "schedule": every, "options": {"expires": every}},
        # What pages show and do not compute: seldom, because nobody acts on it within minutes.
        "counting": {"task": "instances.tasks.sweep_counting", "schedule": 600.0, "options": {"expires": 600.0}},
        # Looks for courses whose time is over: nothing that anybody waits for.
        "retention": {"task": "portal.tasks.sweep_retention", "schedule": 3600.0, "options": {"expires": 3600.0}},
        # Asked as often as the others, done once a day.
        "daily": {"task": "credits.tasks.daily_credits", "schedule": every, "options": {"expires": every}},
        "weekly": {"task": "portal.tasks.sweep_weekly", "schedule": 600.0, "options": {"expires": 600.0}},
        "releases": {"task": "spend.tasks.sweep_releases", "schedule": every, "options": {"expires": every}},
        "true_up": {"task": "spend.tasks.daily_true_up", "schedule": 600.0, "options": {"expires": 600.0}},
    }
    for entry in table.values():
        entry["options"]["queue"] = ROUNDS
    sender.conf.beat_schedule = table


@worker_init.connect
@beat_init.connect
def _refuse_unsafe_start(**_kwargs: object) -> None:
    from portal.checks import refuse_unsafe_start

    refuse_unsafe_start()


@worker_process_init.connect
def _meet_the_cloud(**_kwargs: object) -> None:
    """Reading EC2's description takes up to a second: not while somebody waits for the first launch."""
    from cloud.backends import cloud

    cloud()
