"""The demo course's calendar: a real course of spring 2019, moved by whole weeks so that today is in its HW8 week.

Whole weeks keep the weekdays: a Tuesday deadline stays one, and people still work the night before.
"""

from dataclasses import dataclass
from datetime import date, timedelta

TIMEZONE = "America/Los_Angeles"
_HW8_OUT = date(2019, 4, 9)


@dataclass(frozen=True, slots=True)
class Work:
    """One dated piece of work, and how much GPU it takes a student who does it."""

    name: str
    handed_out_on: date
    due_on: date
    preset: str = ""  # slug of the machine most people take for it; empty: needs none
    sessions: int = 0  # typical number of times that somebody sits down to it
    hours: float = 0.0  # typical length of one, at the machine
    share: float = 1.0  # of the students who use a machine for it

    @property
    def is_homework(self) -> bool:
        return self.name.startswith("HW")


def _day(month: int, day: int) -> date:
    return date(2019, month, day)


_SPRING_2019 = (
    Work("HW1: Setup and first GPU", _day(1, 22), _day(1, 29), "homework", 2, 1.0),
    Work("HW2: Probability and linear regression", _day(1, 29), _day(2, 5), "homework", 2, 1.5, 0.5),
    Work("HW3: Softmax and optimization", _day(2, 5), _day(2, 12), "homework", 2, 2.0, 0.7),
    Work("HW4: House prices on Kaggle", _day(2, 12), _day(2, 19), "homework", 3, 2.5, 0.85),
    Work("HW5: Convolutions", _day(2, 26), _day(3, 5), "homework", 3, 2.5, 0.85),
    Work("HW6: CIFAR-10 on Kaggle", _day(3, 5), _day(3, 12), "homework-plus", 5, 4.0, 0.97),
    Work("HW7: Dog breeds on Kaggle", _day(4, 2), _day(4, 9), "homework-plus", 6, 4.5, 0.97),
    Work("HW8: Object detection, in teams", _day(4, 9), _day(4, 16), "homework-plus", 5, 4.0, 0.9),
    Work("HW9: Sequence models", _day(4, 16), _day(4, 23), "homework", 3, 2.5, 0.8),
    Work("HW10: Attention", _day(4, 23), _day(4, 30), "homework", 3, 2.5, 0.8),
    Work("Project: teams and titles", _day(1, 29), _day(2, 5)),
    Work("Project: midterm pitches", _day(2, 12), _day(3, 5), "project", 5, 4.0, 0.5),
    Work("Exam", _day(3, 12), _day(3, 19)),
    Work("Project: sign-off with a TA", _day(3, 12), _day(4, 25), "project", 13, 5.5, 0.7),
    Work("Project: final presentations", _day(4, 25), _day(5, 9), "project-large", 8, 7.0, 0.7),
)


@dataclass(frozen=True, slots=True)
class Calendar:
    starts_on: date
    ends_on: date
    work: tuple[Work, ...]


def weeks_later(today: date) -> int:
    """By how many weeks spring 2019 has to move so that `today` is in the week after HW8 was handed out."""
    return (today - _HW8_OUT).days // 7


def calendar_around(today: date) -> Calendar:
    shift = timedelta(weeks=weeks_later(today))
    moved = (
        Work(w.name, w.handed_out_on + shift, w.due_on + shift, w.preset, w.sessions, w.hours, w.share)
        for w in _SPRING_2019
    )
    return Calendar(
        starts_on=_day(1, 22) + shift,
        ends_on=_day(5, 17) + shift,
        work=tuple(sorted(moved, key=lambda w: (w.due_on, w.name))),
    )
