"""One-time schedules that really execute: the base server only stores them. Only stopping machines is known."""

import json
import logging
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from moto.core.exceptions import ServiceException
from moto.scheduler.exceptions import ValidationException
from moto.scheduler.models import scheduler_backends
from werkzeug.exceptions import HTTPException

from cloud.sim.base_server import ACCOUNT
from cloud.sim.store import Store
from cloud.sim.world import World

log = logging.getLogger("cloud.sim")
_STOP = "arn:aws:scheduler:::aws-sdk:ec2:stopInstances"
_RETRY_SECONDS = 5.0


class Unrecognized(ServiceException):
    code = "UnrecognizedClientException"
    status_code = 403


class Schedules:
    def __init__(
        self, region: str, world: World, store: Store, account: str = ACCOUNT, closed: Callable[[], bool] = bool
    ) -> None:
        self._backend = scheduler_backends[account][region]
        self._world = world
        self._store = store
        self._closed = closed
        self._create = self._backend.create_schedule
        self._update = self._backend.update_schedule
        self._backend.create_schedule = self._checked(self._create)
        self._backend.update_schedule = self._checked(self._update)
        self._tried: dict[str, tuple[int, float]] = {}  # by name: how often, when last

    def _checked(self, store: Callable[..., Any]) -> Callable[..., Any]:
        """What cannot run is refused when it is asked for, as AWS does."""

        def check(**asked: Any) -> Any:
            if self._closed():
                raise Unrecognized("The security token included in the request is invalid.")
            try:
                due = due_at(asked["schedule_expression"], asked["schedule_expression_timezone"])
            except (ValueError, KeyError):
                raise ValidationException(f"Invalid Schedule Expression {asked['schedule_expression']}.") from None
            if due <= time.time():
                raise ValidationException("The schedule expression's time must be in the future.")
            return store(**asked)

        return check

    @property
    def _all(self) -> dict[str, Any]:
        schedules: dict[str, Any] = self._backend.schedule_groups["default"].schedules
        return schedules

    def keep(self) -> None:
        """The disk holds what the base server holds: after every call that may have changed one."""
        stored = self._store.all("schedule")
        current = {name: schedule.to_dict() for name, schedule in self._all.copy().items()}
        for name in stored.keys() - current.keys():
            self._store.drop("schedule", name)
        for name, told in current.items():
            if stored.get(name) != told:
                self._store.put("schedule", name, told)

    def restore(self) -> None:
        for told in self._store.all("schedule").values():
            self._create(
                description=told["Description"],
                end_date=told["EndDate"],
                flexible_time_window=told["FlexibleTimeWindow"],
                group_name=told["GroupName"],
                kms_key_arn=told["KmsKeyArn"],
                name=told["Name"],
                schedule_expression=told["ScheduleExpression"],
                schedule_expression_timezone=told["ScheduleExpressionTimezone"],
                start_date=told["StartDate"],
                state=told["State"],
                target=told["Target"],
                action_after_completion=told["ActionAfterCompletion"],
            )

    def run_due(self, now: float) -> None:
        for name, schedule in list(self._all.items()):
            tries, last = self._tried.get(name, (0, 0.0))
            enabled = schedule.state != "DISABLED"  # the base server forgets the default when one is updated
            due = due_at(schedule.schedule_expression, schedule.schedule_expression_timezone)
            if enabled and due <= now and now - last >= _RETRY_SECONDS:
                self._run(name, schedule, tries)

    def _run(self, name: str, schedule: Any, tries: int) -> None:
        try:
            if schedule.target["Arn"] != _STOP:
                raise ValueError(f"Not simulated: {schedule.target['Arn']}")
            self._world.stop(json.loads(schedule.target["Input"])["InstanceIds"])
        except (HTTPException, ServiceException, ValueError, KeyError) as error:
            log.info("schedule %s, try %d: %s", name, tries + 1, getattr(error, "ec2_code", error))
            if tries < schedule.target["RetryPolicy"]["MaximumRetryAttempts"]:
                self._tried[name] = (tries + 1, time.time())
                return
        self._tried.pop(name, None)
        if schedule.action_after_completion == "DELETE":
            self._all.pop(name, None)
        else:
            schedule.state = "DISABLED"
        self.keep()


def due_at(expression: str, timezone: str | None) -> float:
    """Seconds since 1970. Raises ValueError or KeyError for what is no one-time schedule."""
    local = datetime.strptime(expression, "at(%Y-%m-%dT%H:%M:%S)")  # noqa: DTZ007 - the zone is a field of its own
    return local.replace(tzinfo=ZoneInfo(timezone or "UTC")).timestamp()
