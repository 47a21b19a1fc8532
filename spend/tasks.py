"""The queue's door to money: the daily true-up. A lost message costs one round."""

from celery import shared_task
from django.utils import timezone

from cloud.backends import costs, course_account
from spend.releasing import release_due
from spend.trueing import note_credits_daily, true_up_daily


@shared_task
def daily_true_up() -> None:
    now = timezone.now()
    try:
        true_up_daily(costs(), now)
    finally:  # the alarm before credit ends must not wait for another question's answer
        note_credits_daily(course_account(), now)


@shared_task
def sweep_releases() -> None:
    release_due(timezone.now())
