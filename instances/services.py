"""The verbs of a machine, for the doors: each does one thing, whole or not at all. `now` is always a parameter."""

from instances.keeping import keep_alive
from instances.launching import launch
from instances.refusals import KeepRefused, LaunchRefused
from instances.requesting import request_launch, request_start
from instances.starting import start
from instances.stopping import request_stop, request_terminate, stop, terminate

__all__ = [
    "KeepRefused",
    "LaunchRefused",
    "keep_alive",
    "launch",
    "request_launch",
    "request_start",
    "request_stop",
    "request_terminate",
    "start",
    "stop",
    "terminate",
]
