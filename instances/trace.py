"""What a run was used for, as spans of time: the evidence behind every stop and every non-stop. Pure, and bounded.

A trace is a list of `[from, to, used]`: whole seconds since the machine was seen to run, and letters of what was used.
Times that no report covers are in no span. A report that says the same as the one before only moves an end, so that an
evening is a few spans.
"""

from collections.abc import Iterable, Sequence

GPU, PROCESSOR, PERSON, KERNEL, KEPT = "g", "c", "p", "k", "h"
LETTERS = GPU + PROCESSOR + PERSON + KERNEL + KEPT
WORK = frozenset({GPU, PROCESSOR, PERSON})
MOST_SPANS = 400  # then the oldest are told less finely
MOST_GAP = 300.0  # seconds; a longer silence is not told as what came after it

Span = list[float | str]
Trace = Sequence[Span]


def with_report(trace: Trace, since: float, until: float, used: Iterable[str]) -> list[Span]:
    """The trace and what one report tells of the time between two moments (seconds since the run began)."""
    letters = "".join(letter for letter in LETTERS if letter in set(used))
    start, end = round(max(since, until - MOST_GAP, 0.0)), round(until)
    found = [list(span) for span in trace]
    if end <= start:
        return found
    last = found[-1] if found else None
    if last is not None and last[2] == letters and start - float(last[1]) <= 1:
        last[1] = end
    else:
        found.append([start, end, letters])
    return found if len(found) <= MOST_SPANS else _coarser(found)


def _coarser(trace: list[Span]) -> list[Span]:
    """The older half in pairs: used for whatever either was. What was work stays work."""
    half = len(trace) // 2 // 2 * 2
    pairs = zip(trace[:half:2], trace[1:half:2], strict=True)
    joined: list[Span] = [
        [a[0], b[1], "".join(letter for letter in LETTERS if letter in f"{a[2]}{b[2]}")] for a, b in pairs
    ]
    return joined + trace[half:]


def uses(trace: Trace, letters: Iterable[str] = WORK) -> list[tuple[float, float]]:
    """The times in which any of these was in use, joined where they touch. In order."""
    wanted, found = set(letters), list[tuple[float, float]]()
    for start, end, used in trace:
        if not wanted & set(str(used)):
            continue
        begin, stop = float(start), float(end)
        if found and begin - found[-1][1] <= 1:
            found[-1] = (found[-1][0], stop)
        else:
            found.append((begin, stop))
    return found
