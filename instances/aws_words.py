"""What AWS answered to a launch or a start, as a sentence for the student; its own words are for the staff."""

from typing import Any

from django.utils.translation import gettext as _

from cloud.base import CloudError, QuotaReached
from instances.launch_rules import Candidate
from instances.models import Instance

_ENCODED = "Encoded authorization failure message"
_LONGEST = 500


def refused_words(error: CloudError) -> str:
    values = {"text": str(error).partition(_ENCODED)[0].strip()}  # what follows is for the staff, and long
    if isinstance(error, QuotaReached):
        return (
            _(
                "The course's AWS account may not run more machines at once (AWS: %(text)s). Nothing was charged. "
                "The course staff has been told."
            )
            % values
        )
    return _("AWS refused this machine (%(text)s). Nothing was charged. The course staff has been told.") % values


def none_there(error: CloudError, machine: Instance, then: Candidate | None) -> str:
    """One zone or quota is full: which, and what is asked for next. On demand may have what Spot has not."""
    values = {"type": machine.instance_type, "zone": machine.zone}
    said = {
        (True, False): _("AWS lets the course's account run no more machines like %(type)s at once."),
        (True, True): _("AWS lets the course's account run no more Spot machines like %(type)s at once."),
        (False, False): _("AWS has no free %(type)s in %(zone)s right now."),
        (False, True): _("AWS has no free Spot %(type)s in %(zone)s right now."),
    }[isinstance(error, QuotaReached), machine.spot] % values
    if then is None:
        next_one = _("That was the last one to ask for.")
    else:
        next_one = _("Asked for next: %(type)s in %(zone)s.") % {"type": then.instance_type, "zone": then.zone}
    return f"{said} {next_one}"


def as_told(error: CloudError) -> dict[str, Any]:
    """The facts of an event: AWS's own words, which its page shows to staff."""
    return {"aws": str(error)[:_LONGEST]}
