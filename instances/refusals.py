"""Why a person was refused a machine or more time, in a sentence for that person. Decides nothing."""

from datetime import datetime

from django.utils.translation import gettext as _

from instances.launch_rules import Refusal
from instances.models import Preset


class LaunchRefused(Exception):
    """The machine may not be launched or started now. `str()` and `reason` are a sentence for the person."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class KeepRefused(LaunchRefused):
    """The machine cannot be kept for so long. `affordable_until` (UTC): the last minute that the budget pays for."""

    def __init__(self, reason: str, affordable_until: datetime | None = None) -> None:
        super().__init__(reason)
        self.affordable_until = affordable_until


def words(why: Refusal, preset: Preset, *, per_person: int | None = None) -> str:
    """`per_person`: where an exception was made for this person."""
    most = preset.per_person if per_person is None else per_person
    return _sentences()[why] % {"preset": preset.name, "n": most, "team": preset.per_team}


def _sentences() -> dict[Refusal, str]:
    return {
        Refusal.NOT_ACTIVE: _(
            "Only active members of the course launch machines: who waits for a place or has left may look. Ask the "
            "course staff."
        ),
        Refusal.ROLE: _("Sponsors and guest auditors may look, but launch no machines."),
        Refusal.NOT_BEGUN: _("The course has not begun yet."),
        Refusal.OVER: _("The course is over, so no machine can be started. Ask the course staff."),
        Refusal.DISABLED: _("“%(preset)s” is not offered at the moment. Choose another preset."),
        Refusal.BARRED: _("“%(preset)s” is not open to you. Choose another preset, or ask the course staff."),
        Refusal.TOO_MANY: _(
            "You already have %(n)s of “%(preset)s”: no more at once. Open that machine, or stop it first."
        ),
        Refusal.NOT_FOR_YOU: _(
            "“%(preset)s” is for other people of the course: another role, section or team. Choose another preset, or "
            "ask the course staff."
        ),
        Refusal.TEAM_FULL: _(
            "Your team already has %(team)s of “%(preset)s”: no more at once. Ask your team to stop one of them."
        ),
        Refusal.UNANSWERED: _(
            "A machine of “%(preset)s” was called off before AWS had answered, so there may still be one, and no more "
            "are allowed at once. That is known within some five minutes: then launch again."
        ),
        Refusal.NEEDS_APPROVAL: _(
            "“%(preset)s” is launched only when the course staff allows it. Say what you need it for."
        ),
        Refusal.NO_PRICE: _(
            "No machine of “%(preset)s” has a price that the course allows. The course staff must look at its preset."
        ),
    }
