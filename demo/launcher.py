"""`make run`: the whole of Lamplighter on one machine with nothing else installed, started and ended together."""

import json
import os
import secrets
import shutil
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import closing
from typing import IO

from demo import lock
from demo.image import make_image
from demo.people import INSTRUCTOR, PASSWORD, STRANGER, STUDENT, TA
from demo.places import CLIENT_ID, HOST, ROOT, Places
from demo.processes import ChildEnded, Family, Stopped, tail
from demo.repositories import make_repository

NEEDED_MB = 500
PATIENCE_SECONDS = 300


class CannotStart(Exception):
    """Something to be put right first; the message says what."""


def say(text: str = "") -> None:
    print(text, flush=True)


def main() -> int:
    os.chdir(ROOT)
    started = time.monotonic()
    try:
        places = Places.from_environment()
        with closing(prepare(places)):
            return serve(places, started)
    except (CannotStart, ValueError) as error:
        say(f"Cannot start: {error}")
        return 1


def prepare(places: Places) -> IO[str]:
    """Everything that can be known beforehand. Raises CannotStart; returns the held lock."""
    try:
        held = lock.take(places.folder)
    except lock.AlreadyRunning as error:
        raise CannotStart(f"it already runs in {places.folder} (process {error}). Stop it with Ctrl-C there.") from None
    except OSError as error:
        raise CannotStart(f"{places.folder} cannot be written: {error.strerror}.") from None
    free_mb = shutil.disk_usage(places.folder).free // 2**20
    if free_mb < NEEDED_MB:
        raise CannotStart(f"{places.folder} has {free_mb} MB left, {NEEDED_MB} MB are needed.")
    for name, port in places.ports.items():
        if in_use(port):
            other = f"LAMPLIGHTER_PORT={port + 1000 if port < 60000 else 18000} make run"
            raise CannotStart(f"port {port}, for {name}, is in use. Stop what uses it, or choose others: {other}")
    return held


def in_use(port: int) -> bool:
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that has just been left is free
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


def serve(places: Places, started: float) -> int:
    """Starts everything, says where to go, waits for the end. Returns the exit code."""
    family = Family(places.folder, places.environment(secrets.token_hex(8)))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, family.on_signal)
    code = 0
    try:
        start_all(places, family)
        say(box(places, time.monotonic() - started))
        while True:
            family.check()
            time.sleep(0.2)
    except Stopped:
        say("\nStopping ...")
    except ChildEnded as error:
        say(f"\n{error} The end of {error.log}:\n{tail(error.log)}\nStopping the others ...")
        code = 1
    except CannotStart as error:
        say(f"\nCannot start: {error}\nStopping ...")
        code = 1
    finally:
        family.stop()
    say("Stopped. Everything is kept in " + str(places.folder) + "; `make run` goes on from there.")
    return code


def start_all(places: Places, family: Family) -> None:
    first = not (places.folder / "lamplighter.sqlite3").exists()
    say("Lamplighter's demo starts" + (" for the first time (about a minute) ..." if first else " ..."))
    start_outside_world(places, family)
    prepare_portal(places, family)
    start_portal(places, family)


def start_outside_world(places: Places, family: Family) -> None:
    """What is not the product: a cloud and a university."""
    python = sys.executable
    port = {name: str(number) for name, number in places.ports.items()}
    folder = str(places.folder / "cloud")
    (places.folder / "cloud" / "network.json").unlink(missing_ok=True)  # the last run's says nothing about this one
    make_repository(places.folder / "cloud" / "repositories")
    make_image(places.folder / "cloud" / "image")
    family.start("cloud", [python, "-m", "cloud.sim", "--port", port["the simulated AWS"], "--folder", folder])
    family.start("university", [python, *university(places)])


def university(places: Places) -> list[str]:
    """Its name and its options. Each in one word with its value: a secret may begin with a dash."""
    options = {
        "port": places.ports["Demo University"],
        "folder": places.folder / "university",
        "client-id": CLIENT_ID,
        "client-secret": places.client_secret(),
        "redirect-uri": places.callback,
    }
    return ["-m", "demo.university", *(f"--{name}={value}" for name, value in options.items())]


def prepare_portal(places: Places, family: Family) -> None:
    manage = [sys.executable, "manage.py"]
    with_progress("database", lambda: family.run("migrate", [*manage, "migrate", "--no-input", "--verbosity", "0"]))
    collect = [*manage, "collectstatic", "--no-input", "--verbosity", "0"]
    with_progress("pages' files", lambda: family.run("collectstatic", collect))
    with_progress("simulated AWS", lambda: until(family, lambda: bool(places.network()) and answers(places.cloud)))
    family.environment = places.environment(family.environment["LAMPLIGHTER_RUN_ID"])
    with_progress("demo course", lambda: family.run("seed", [sys.executable, "-m", "demo.seed"]))


def start_portal(places: Places, family: Family) -> None:
    python = sys.executable
    granian = [python, "-m", "granian", "--interface", "wsgi", "--workers", "2", "--blocking-threads", "4"]
    family.start("portal", [*granian, "--host", HOST, "--port", str(places.port), "portal.wsgi:application"])
    uvicorn = [python, "-m", "uvicorn", "portal.live:application", "--host", HOST, "--port", str(places.port + 1)]
    # As in deploy/systemd/lamplighter-gateway.service; docs/architecture.md says why.
    limits = [
        "--ws",
        "instances.gateway.browser_end:BrowserEnd",
        "--ws-max-size",
        "16777216",
        "--ws-ping-timeout",
        "300",
        "--ws-per-message-deflate",
        "false",
    ]
    limits += ["--timeout-graceful-shutdown", "5", "--no-access-log"]
    family.start("gateway", [*uvicorn, *limits])
    if places.dial_out:
        family.start("tunnel", [python, "-m", "portal.tunnel"])
    celery = [python, "-m", "celery", "-A", "portal"]
    alone = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    family.start("worker", [*celery, "worker", "--pool", "threads", "--concurrency", "4", "--loglevel", "INFO", *alone])
    family.start("beat", [*celery, "beat", "--pidfile", "", "--loglevel", "WARNING"])
    with_progress("university", lambda: until(family, lambda: answers(places.university + "/login")))
    with_progress("gateway", lambda: until(family, lambda: answers(places.gateway)))
    with_progress("portal", lambda: until(family, lambda: answers(places.portal + "/accounts/login/")))
    # Each sweep has ended since the start: so this waits for worker and beat, too.
    with_progress("sweeps", lambda: until(family, lambda: sweeps(places.portal + "/health")))


def with_progress(what: str, step: Callable[[], None]) -> None:
    began = time.monotonic()
    print(f"  {what:<16}", end="", flush=True)
    step()
    say(f"ready ({time.monotonic() - began:.1f} s)")


def until(family: Family, ready: Callable[[], bool]) -> None:
    """Waits. Raises ChildEnded, Stopped, or CannotStart after PATIENCE_SECONDS."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not ready():
        family.check()
        if time.monotonic() > deadline:
            raise CannotStart(f"no answer for {PATIENCE_SECONDS} seconds. The logs are in {family.logs}.")
        time.sleep(0.2)


def answers(url: str) -> bool:
    """Any answer below 500 will do: whether it is the right one is for the tests."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False


def sweeps(url: str) -> bool:
    """All is well, and no longer only because everything has just been started."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as answer:
            return json.load(answer)["starting"] is False
    except OSError:
        return False


def box(places: Places, seconds: float) -> str:
    people = [("Student", STUDENT), ("TA", TA), ("Instructor", INSTRUCTOR), ("Stranger", STRANGER)]
    lines = [
        f"Lamplighter runs (started in {seconds:.0f} s).",
        "",
        f"Open        {places.portal}",
        "Sign in     with Demo University: click on a person there, or type",
        *(f"  {role:<11} {person.email}" for role, person in people),
        f"            the password of everybody is: {PASSWORD}",
        f"Mail        {places.portal}/demo/mailbox/",
        f"Logs        {places.folder / 'log'}",
        "Stop        Ctrl-C; `make run` goes on where it was, `make demo-reset` starts afresh",
    ]
    width = max(len(line) for line in lines)
    rule = "─" * (width + 2)
    return "\n".join(["", f"┌{rule}┐", *(f"│ {line:<{width}} │" for line in lines), f"└{rule}┘", ""])


if __name__ == "__main__":
    sys.exit(main())
