"""What a holder sees beside each code: who else looked, what was reported, what it is for. Reads only."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from courses.models import Enrollment
from credits.models import CodeEvent, ContestPlace, CreditCode, FailedReport


@dataclass(frozen=True, slots=True)
class Beside:
    looks: Sequence[CodeEvent]  # by anybody but the person themselves
    reports: Sequence[FailedReport]
    prize: ContestPlace | None


def beside(codes: Iterable[CreditCode], enrollment: Enrollment) -> dict[int, Beside]:
    """By code id. Three queries, and none without a code."""
    ids = [code.pk for code in codes]
    if not ids:
        return {}
    looks: dict[int, list[CodeEvent]] = defaultdict(list)
    seen = CodeEvent.objects.filter(code__in=ids, verb=CodeEvent.Verb.REVEALED).exclude(who=enrollment.user_id)
    for event in seen.select_related("who"):
        looks[event.code_id].append(event)
    reports: dict[int, list[FailedReport]] = defaultdict(list)
    for report in FailedReport.objects.filter(code__in=ids).select_related("replacement"):
        reports[report.code_id].append(report)
    prizes = {place.code_id: place for place in ContestPlace.objects.filter(code__in=ids).select_related("contest")}
    return {pk: Beside(looks[pk], reports[pk], prizes.get(pk)) for pk in ids}
