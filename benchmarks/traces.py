"""`make bench-traces TRACES=<folder>`: recorded GPU activity through the shipped idle rule, minute by minute.

Takes every *.csv and *.csv.gz of the two formats below, told by their columns; the recordings are not ours to publish.
What is replayed is `instances/idle.py` with the default policy, in virtual time; beside it, plain thresholds.

GPU minutes (`pod,minute,gpu_pct,work`): `work` is an independent record that the rule never sees. A stop hits work when
the minute that it falls in has some; of a silent minute the next one tells, or a long event after the silence. A
stopped pod comes back with its next work. A missing minute is silence: no report.
Notebook trainings (`session,start_min,end_min`, the GPU is busy from start to end): billed is the time that the machine
is up, of the time from a session's first start to its last end. A training finds the machine off when it was stopped
before; the first of a session does not count, since somebody launched the machine for it.
"""

import csv
import gzip
import io
import json
import sys
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from instances.idle import Facts, Limits, Reading, Verdict, Work, decide, observe, warned_after

MINUTE = 60.0
GPU_COLUMNS = {"pod", "minute", "gpu_pct", "work"}
TRAINING_COLUMNS = {"session", "start_min", "end_min"}
USAGE = "make bench-traces TRACES=<folder with recordings as *.csv or *.csv.gz>"
LONG = 2  # `work` of a minute in the middle of something
SHIPPED = "Lamplighter, default policy"


# ------------------------------------------------------------------ recordings
@dataclass(frozen=True, slots=True)
class Minute:
    gpu_pct: float | None  # None: the GPU could not be read
    work: int  # 1: something finished in it; 2: something that took longer was going on; 0: nothing


Pod = Mapping[int, Minute]  # by minute; what is missing was not reported
Training = tuple[int, int]  # minutes: the GPU is busy in [start, end)


def read_folder(folder: Path) -> tuple[list[Pod], list[list[Training]]]:
    """All pods and all sessions of all recordings in the folder. Raises SystemExit when there are none."""
    if not folder.is_dir():
        raise SystemExit(f"There is no folder {folder}.\nUsage: {USAGE}")
    pods: list[Pod] = []
    sessions: list[list[Training]] = []
    for path in sorted([*folder.glob("*.csv"), *folder.glob("*.csv.gz")]):
        columns, rows = _rows(path)
        if columns >= GPU_COLUMNS:
            pods += read_gpu_minutes(rows)
        elif columns >= TRAINING_COLUMNS:
            sessions += read_trainings(rows)
        else:
            print(f"{path.name}: neither GPU minutes nor notebook trainings, left out")
    if not pods and not sessions:
        raise SystemExit(f"There are no recordings of either format in {folder}.\nUsage: {USAGE}")
    return pods, sessions


def _rows(path: Path) -> tuple[set[str], Iterator[dict[str, str]]]:
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8-sig")
    reader = csv.DictReader(io.StringIO(text))
    return set(reader.fieldnames or ()), reader


def read_gpu_minutes(rows: Iterator[dict[str, str]]) -> list[Pod]:
    pods: dict[str, dict[int, Minute]] = defaultdict(dict)
    for row in rows:
        gpu_pct = float(row["gpu_pct"]) if row["gpu_pct"] else None
        pods[row["pod"]][int(row["minute"])] = Minute(gpu_pct, int(row["work"] or 0))
    return list(pods.values())


def read_trainings(rows: Iterator[dict[str, str]]) -> list[list[Training]]:
    sessions: dict[str, list[Training]] = defaultdict(list)
    for row in rows:
        sessions[row["session"]].append((int(row["start_min"]), int(row["end_min"])))
    return [sorted(trainings) for trainings in sessions.values()]


# ------------------------------------------------------------------ rules
class Watch(Protocol):
    """One run of one machine. `now` is in seconds of virtual time."""

    def sees(self, now: float, gpu_pct: float | None) -> None:
        """The report of the minute that ends now; not called for a minute without one."""

    def stops(self, now: float) -> bool:
        """The sweep's question, once a minute."""


Rule = Callable[[float], Watch]  # from the moment at which the run begins


class Shipped:
    """`observe` as for a report and `decide` as in the idle sweep, which writes down when it warned."""

    def __init__(self, began: float, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.facts = Facts(running_since=began)

    def sees(self, now: float, gpu_pct: float | None) -> None:
        reading = Reading(Work(gpu_busy_s=busy_seconds(gpu_pct)), MINUTE, None, False, complete=gpu_pct is not None)
        self.facts = observe(self.facts, reading, self.limits, now)

    def stops(self, now: float) -> bool:
        decision = decide(self.facts, self.limits, now)
        self.facts = warned_after(self.facts, decision, now)
        return decision.verdict is Verdict.STOP


def busy_seconds(gpu_pct: float | None) -> float:
    """The agent counts seconds in which the GPU did anything. The mean of a minute tells the fewest there can have
    been: one, as soon as it is above zero."""
    return max(1.0, gpu_pct * MINUTE / 100) if gpu_pct else 0.0


class Threshold:
    """What tutorials advise: a mean or a maximum over the last minutes. Silent minutes are left out of it, and nothing
    at all to look at means no decision."""

    def __init__(self, began: float, minutes: int, is_low: Callable[[Sequence[float]], bool]) -> None:
        self.judged_from = began + minutes * MINUTE
        self.minutes = minutes
        self.is_low = is_low
        self.seen: deque[tuple[float, float]] = deque()

    def sees(self, now: float, gpu_pct: float | None) -> None:
        if gpu_pct is not None:
            self.seen.append((now, gpu_pct))

    def stops(self, now: float) -> bool:
        while self.seen and self.seen[0][0] <= now - self.minutes * MINUTE:
            self.seen.popleft()
        if now < self.judged_from or not self.seen:
            return False
        return self.is_low([gpu_pct for _at, gpu_pct in self.seen])


def _mean(limit: float, minutes: int) -> Rule:
    return lambda began: Threshold(began, minutes, lambda seen: sum(seen) / len(seen) < limit)


def _all_zero(minutes: int) -> Rule:
    return lambda began: Threshold(began, minutes, lambda seen: max(seen) == 0)


BASELINES: dict[str, Rule] = {
    "mean < 5 % for 30 min": _mean(5, 30),
    "mean < 10 % for 30 min": _mean(10, 30),
    "max = 0 for 10 min": _all_zero(10),
    "max = 0 for 30 min": _all_zero(30),
    "max = 0 for 60 min": _all_zero(60),
}


# ------------------------------------------------------------------ replays
@dataclass(frozen=True)
class Stops:
    stops: int = 0
    work_hit: int = 0
    work_next: int = 0  # no work in the minute of the stop, but in the one after it

    def __add__(self, other: "Stops") -> "Stops":
        return Stops(self.stops + other.stops, self.work_hit + other.work_hit, self.work_next + other.work_next)


def replay_pod(pod: Pod, rule: Rule) -> Stops:
    """The pod runs from its first minute to its last one, and while stopped waits for work."""
    found, watch = Stops(), rule(min(pod) * MINUTE)
    up = True
    for number in range(min(pod), max(pod) + 1):
        minute = pod.get(number)
        if not up:
            if minute is None or not minute.work:
                continue
            up, watch = True, rule(number * MINUTE)
        now = (number + 1) * MINUTE
        if minute is not None:
            watch.sees(now, minute.gpu_pct)
        if watch.stops(now):
            up = False
            found += _judge_stop(pod, number)
    return found


def _judge_stop(pod: Pod, number: int) -> Stops:
    recorded = next(n for n in range(number, max(pod) + 1) if n in pod)
    near = recorded <= number + 1
    hit = pod[recorded].work > 0 if near else pod[recorded].work == LONG
    after = pod.get(number + 1)
    return Stops(1, int(hit), int(not hit and after is not None and after.work > 0))


@dataclass(frozen=True)
class Use:
    """Minutes, and trainings."""

    span: float = 0
    billed: float = 0
    trainings: int = 0
    found_off: int = 0
    cut_off: int = 0

    def __add__(self, other: "Use") -> "Use":
        return Use(**{name: value + getattr(other, name) for name, value in asdict(self).items()})

    @property
    def billed_pct(self) -> float:
        return 100 * self.billed / self.span

    @property
    def cold_pct(self) -> float:
        return 100 * self.found_off / self.trainings


# Reports come at a moment of their own within the recording's minute; on average half-way.
PHASE = 0.5


def replay_session(trainings: Sequence[Training], rule: Rule) -> Use:
    """The machine is launched for the first training, and started again for each one that finds it off."""
    first, last = trainings[0][0], max(end for _start, end in trainings)
    billed = 0.0
    found_off = cut_off = 0
    number = 0  # of the training that the machine is started for
    while number < len(trainings):
        began = trainings[number][0]
        stopped = _stopped_at(trainings, number, rule)
        billed += stopped - began
        while number < len(trainings) and trainings[number][0] < stopped:
            cut_off += trainings[number][1] > stopped
            number += 1
        found_off += number < len(trainings)
    return Use(last - first, billed, len(trainings), found_off, cut_off)


def _stopped_at(trainings: Sequence[Training], number: int, rule: Rule) -> float:
    """The minute in which a machine is stopped that was started for this training."""
    now = float(trainings[number][0])
    watch = rule(now * MINUTE)
    now += PHASE
    while True:
        busy = 0.0
        while number < len(trainings) and trainings[number][0] < now:
            start, end = trainings[number]
            busy += max(0.0, min(end, now) - max(start, now - 1))
            if end > now:
                break
            number += 1
        # How busy is not recorded: fully, which is the best case for rules that take a mean.
        watch.sees(now * MINUTE, 100 * busy)
        if watch.stops(now * MINUTE):
            return now
        now += 1


# ------------------------------------------------------------------ telling
def main() -> None:
    if len(sys.argv) != 2 or not sys.argv[1]:
        raise SystemExit(f"Which recordings?\nUsage: {USAGE}")
    pods, sessions = read_folder(Path(sys.argv[1]))
    rules = {SHIPPED: Shipped, **BASELINES}
    found = {name: measure(pods, sessions, rule) for name, rule in rules.items()}
    tell(pods, sessions, found)
    shipped = keys(*found.pop(SHIPPED))
    print(json.dumps({**shipped, "baselines": {name: keys(*both) for name, both in found.items()}}))


def measure(pods: Sequence[Pod], sessions: Sequence[Sequence[Training]], rule: Rule) -> tuple[Stops, Use]:
    stops = sum((replay_pod(pod, rule) for pod in pods), Stops())
    return stops, sum((replay_session(trainings, rule) for trainings in sessions), Use())


def keys(stops: Stops, use: Use) -> dict[str, float | None]:
    """None where there was no recording of that kind. A rule that never stopped hit nothing."""
    return {
        "work_hit": stops.work_hit,
        "stops": stops.stops,
        "notebook_billed_pct": round(use.billed_pct, 2) if use.span else None,
        "notebook_cold_pct": round(use.cold_pct, 2) if use.trainings else None,
    }


def tell(pods: Sequence[Pod], sessions: Sequence[Sequence[Training]], found: Mapping[str, tuple[Stops, Use]]) -> None:
    if pods:
        lived = sum(max(pod) - min(pod) + 1 for pod in pods)
        silent = lived - sum(map(len, pods))
        print(f"GPU minutes: {len(pods)} pods, {lived / 1440:.1f} pod-days, {100 * silent / lived:.1f} % silent")
        print(f"  {'rule':<30}{'stops':>7}{'per pod-day':>13}{'hit work':>10}{'work next minute':>18}")
        for name, (stops, _use) in found.items():
            a_day = stops.stops / lived * 1440
            print(f"  {name:<30}{stops.stops:>7}{a_day:>13.1f}{stops.work_hit:>10}{stops.work_next:>18}")
    if sessions:
        trainings = sum(map(len, sessions))
        print(f"Notebook trainings: {len(sessions)} sessions, {trainings:,} trainings")
        print(f"  {'rule':<30}{'billed, % of always on':>24}{'found off, %':>14}{'cut off':>9}")
        for name, (_stops, use) in found.items():
            print(f"  {name:<30}{use.billed_pct:>24.2f}{use.cold_pct:>14.2f}{use.cut_off:>9}")


if __name__ == "__main__":
    main()
