"""The queue's door: the beat's round over codes that people wait for, and letters."""

from celery import shared_task
from django.utils import timezone

from cloud.backends import course_account
from credits.course_account import settle_all
from credits.daily import daily
from credits.sweep import sweep


@shared_task
def sweep_credits() -> None:
    sweep(timezone.now())


@shared_task
def daily_credits() -> None:
    daily(timezone.now())


@shared_task
def redeem_for_course() -> None:
    """Whatever is asked for, one after the other; then what is in doubt is looked at. Also the beat's round."""
    settle_all(account=course_account(), now=timezone.now())
