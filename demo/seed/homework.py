"""The demo course's homework links: each opens a sheet of `demo/repositories.py` on the student's machine."""

from datetime import datetime

from demo.repositories import NAME, SHEETS
from demo.seed.course import Roster
from instances.models import Homework, HomeworkSource, Preset

HOST = "https://git.demo.edu"


def link_the_homework(roster: Roster, preset: Preset, now: datetime) -> None:
    course, who = roster.course, roster.assistants[0].user
    HomeworkSource.objects.create(course=course, address=HOST, added_by=who, added_at=now)
    Homework.objects.bulk_create(
        Homework(
            course=course, preset=preset, title=title, repo=f"{HOST}/{NAME}", path=path, added_by=who, added_at=now
        )
        for path, (title, _code) in SHEETS.items()
    )
