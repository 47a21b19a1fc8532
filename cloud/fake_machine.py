"""One machine of the in-memory cloud and what time does to it. Knows no faults, no quota, no other machine."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cloud.base import CloudState, LaunchSpec, MachineView, Refused, WrongState

_BY_API = "Client.UserInitiatedShutdown: User initiated shutdown"
ENDING = frozenset({CloudState.SHUTTING_DOWN, CloudState.TERMINATED})


@dataclass(slots=True)
class Stretch:
    """Running from `start` (state running) to `end` (stop accepted): exactly what is billed."""

    start: datetime
    end: datetime | None = None

    def seconds(self, now: datetime) -> float:
        return ((self.end or now) - self.start).total_seconds()


@dataclass(slots=True)
class FakeMachine:
    cloud_id: str
    installation: str
    spec: LaunchSpec
    instance_type: str  # as launched, or as changed since
    private_ip: str
    boot: timedelta
    stopping: timedelta
    created_at: datetime
    launched_at: datetime
    state: CloudState = CloudState.PENDING
    changes_at: datetime | None = None  # when the state under way is reached
    ended_at: datetime | None = None
    terminated_at: datetime | None = None
    state_reason: str = ""
    stops_at: datetime | None = None  # the cloud's own schedule
    reclaimed: bool = False
    spot_request: str = ""  # of a Spot machine; what AWS makes in its place has the same
    restarts: list[datetime] = field(default_factory=list)
    stretches: list[Stretch] = field(default_factory=list)

    # -------------------------------------------------------------- time
    def settle(self, now: datetime) -> None:
        """Everything that was due until `now`, in the order in which it was due and at its own second."""
        while True:
            due = self._next_change()
            if due is None or due > now:
                return
            if due == self.changes_at:
                self._arrive(due)
            else:
                self.stops_at = None
                self._end_run(due, CloudState.STOPPING)

    def _next_change(self) -> datetime | None:
        if self.changes_at is not None:
            return self.changes_at
        if self.stops_at is None or self.state in ENDING:
            return None
        if self.state is CloudState.RUNNING:
            # A stop that came due while the machine was still booting is repeated by the scheduler.
            return max(self.stops_at, self.stretches[-1].start)
        return None

    def _arrive(self, at: datetime) -> None:
        self.changes_at = None
        if self.state is CloudState.PENDING:
            self.state = CloudState.RUNNING
            self.stretches.append(Stretch(at))
        elif self.state is CloudState.STOPPING:
            self.state = CloudState.STOPPED
        else:
            self.state = CloudState.TERMINATED
            self.terminated_at = at

    # -------------------------------------------------------------- verbs
    def boot_up(self, now: datetime) -> None:
        self.state = CloudState.PENDING
        self.launched_at = now
        self.ended_at = None
        self.state_reason = ""
        self.changes_at = now + self.boot

    def start(self, now: datetime) -> None:
        if self.state in (CloudState.RUNNING, CloudState.PENDING):
            return
        if self.state is not CloudState.STOPPED:
            raise self._wrong("started")
        if self.reclaimed:
            raise Refused("Only AWS starts a Spot machine that it stopped.", code="IncorrectSpotRequestState")
        self.boot_up(now)

    def stop(self, now: datetime) -> None:
        if self.state in (CloudState.STOPPED, CloudState.STOPPING):
            return
        if self.state is not CloudState.RUNNING:
            raise self._wrong("stopped")
        self._end_run(now, CloudState.STOPPING)

    def restart(self, now: datetime) -> None:
        """No new run: neither the launch time nor the bill notices."""
        if self.state is not CloudState.RUNNING:
            raise self._wrong("restarted")
        self.restarts.append(now)

    def change_type(self, instance_type: str) -> None:
        if self.state is not CloudState.STOPPED:
            raise self._wrong("changed")
        self.instance_type = instance_type

    def power_off(self, now: datetime) -> None:
        """From inside. As on AWS, the reason then carries no time: `ended_at` stays unknown."""
        self.stop(now)
        self.ended_at = None
        self.state_reason = "Client.InstanceInitiatedShutdown: Instance initiated shutdown"

    def reclaim(self, now: datetime) -> None:
        """AWS takes a Spot machine back: stopped, and only AWS may start it."""
        self.stop(now)
        self.reclaimed = True
        self.state_reason = "Server.SpotInstanceShutdown: Instance shutdown by Spot"

    def terminate(self, now: datetime) -> None:
        if self.state not in ENDING:
            self._end_run(now, CloudState.SHUTTING_DOWN)

    def _end_run(self, at: datetime, state: CloudState) -> None:
        if self.stretches and self.stretches[-1].end is None:
            self.stretches[-1].end = at
        self.ended_at = at  # as AWS does: terminating a stopped machine moves it, though billing ended earlier
        self.state = state
        self.state_reason = _BY_API
        self.changes_at = at + self.stopping

    def _wrong(self, verb: str) -> WrongState:
        text = f"The instance '{self.cloud_id}' is not in a state from which it can be {verb}."
        return WrongState(text, code="IncorrectInstanceState")

    # -------------------------------------------------------------- telling
    def ran_seconds(self, now: datetime) -> float:
        return sum(stretch.seconds(now) for stretch in self.stretches)

    def view(self) -> MachineView:
        return MachineView(
            cloud_id=self.cloud_id,
            name=self.spec.name,
            token=self.spec.token,
            state=self.state,
            instance_type=self.instance_type,
            zone=self.spec.zone,
            image_id=self.spec.image_id,
            private_ip=self.private_ip,
            launched_at=self.launched_at,
            ended_at=self.ended_at,
            state_reason=self.state_reason,
            tags=dict(self.spec.tags),
            spot_request=self.spot_request,
        )
