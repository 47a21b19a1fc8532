"""The states a machine can be in, and the moves between them. Pure."""

from enum import StrEnum


class State(StrEnum):
    REQUESTED = "requested"  # row and hold exist, AWS has nothing for it: not asked yet, or in the queue
    LAUNCHING = "launching"  # AWS was asked, or may have been
    RUNNING = "running"
    STOPPING = "stopping"  # asked to stop; not done until AWS says stopped
    STOPPED = "stopped"
    TERMINATING = "terminating"  # asked to delete machine and disk; not done until AWS says so
    TERMINATED = "terminated"
    FAILED = "failed"


# "Warned", "idle" and "over budget" are not states: they are derived from timestamps.
MOVES: dict[State, frozenset[State]] = {
    State.REQUESTED: frozenset({State.LAUNCHING, State.FAILED, State.TERMINATED}),
    # REQUESTED again: AWS has definitely refused all that was asked, and the row waits for its turn in the queue.
    State.LAUNCHING: frozenset(
        {
            State.REQUESTED,
            State.RUNNING,
            State.STOPPING,
            State.STOPPED,
            State.TERMINATING,
            State.FAILED,
            State.TERMINATED,
        }
    ),
    State.RUNNING: frozenset({State.STOPPING, State.STOPPED, State.TERMINATING, State.TERMINATED}),
    # FAILED: stopped while AWS was being asked, and it turned out that there never was a machine.
    State.STOPPING: frozenset({State.STOPPED, State.TERMINATING, State.FAILED, State.TERMINATED}),
    State.STOPPED: frozenset({State.LAUNCHING, State.TERMINATING, State.TERMINATED}),
    State.TERMINATING: frozenset({State.TERMINATED}),
    State.TERMINATED: frozenset(),
    State.FAILED: frozenset(),
}
# May cost money by the second.
LIVE = frozenset({State.REQUESTED, State.LAUNCHING, State.RUNNING, State.STOPPING, State.TERMINATING})
ENDED = frozenset({State.TERMINATED, State.FAILED})


def may_move(old: State, new: State) -> bool:
    return new in MOVES[old]
