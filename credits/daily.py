"""What is done once a day: the books are checked, and people are reminded of what is about to be lost."""

from datetime import datetime, timedelta

from credits.checks import check_and_keep, latest_check
from credits.expiry import remind

# Less than a day, so that the hour does not wander; asked often, because a scheduler's own day ends with its process.
EVERY = timedelta(hours=23)


def daily(now: datetime) -> bool:
    """False when it has been done already. Done twice it is harmless: letters have keys, a check is a row."""
    latest = latest_check()
    if latest and now - latest.at < EVERY:
        return False
    remind(now)
    check_and_keep(now)  # last: what fails before is tried again by the next round
    return True
