#!/usr/bin/env python3
"""Tells the portal what this machine does, and puts it out when nobody uses it and the portal does not either.

Needs no credentials but its own, and Python 3.8. What it sees is in `senses.py`, how it judges in `idle.py` (the
portal's own file), what could be waited for in `doings.py`, what is done before a stop in `saving.py`. The dead-man's
timer is not here: `deadman.py` lives and dies apart.
"""

from __future__ import annotations

import calendar
import contextlib
import http.client
import json
import os
import subprocess
import time
import urllib.request
from dataclasses import asdict, replace

import deadman
import idle
from deadman import uptime
from doings import Doings
from keys import write_keys
from saving import TABS, Saver, carry
from senses import DIRECT, MARK, Senses

VERSION = "4"
# Where AWS tells that it takes a Spot machine back; there is no such place in a machine room.
METADATA = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "" if MARK else "http://169.254.169.254").rstrip("/")
SAMPLE_SECONDS = 5.0
RECLAIM_SPARE = TABS + 15.0  # seconds of AWS's two minutes that are no script's: the tabs, the report, the power-off
MOST_LATE = 300.0  # seconds after the portal's turn


def notebook_url() -> str:
    return f"http://{os.environ.get('LAMPLIGHTER_BIND', '127.0.0.1')}:8888"


def later(limits: idle.Limits) -> idle.Limits:
    """Ours come after the portal's: whoever is alive there explains itself better than a machine that goes dark.

    Also when limits change and both warn at once: we may hear of them a round before the portal looks. And whether
    anybody still trains is not ours to ask: only the portal's mail and page can be answered; the lease bounds the rest.
    """
    late = lateness(limits)
    return replace(limits, quiet=limits.quiet + late, warn=limits.warn + late / 2, unattended=None)


def lateness(limits: idle.Limits) -> float:
    return min(MOST_LATE, limits.quiet / 6)


def say(text: str) -> None:
    """On every open terminal."""
    print(f"lamplighter: {text}", flush=True)  # noqa: T201
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):  # the log has it
        subprocess.run(["wall"], input=text, text=True, timeout=10, check=False)  # noqa: S607


def reclaim_seconds() -> float | None:
    """Seconds until AWS takes this Spot machine back; None as long as it does not."""
    if not METADATA:
        return None
    try:
        head = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
        ask = urllib.request.Request(f"{METADATA}/latest/api/token", method="PUT", headers=head)  # noqa: S310
        with DIRECT.open(ask, timeout=1) as answer:
            head = {"X-aws-ec2-metadata-token": answer.read(1000).decode()}
        ask = urllib.request.Request(f"{METADATA}/latest/meta-data/spot/instance-action", headers=head)  # noqa: S310
        with DIRECT.open(ask, timeout=1) as answer:
            told = json.loads(answer.read(1000))
        at = calendar.timegm(time.strptime(told["time"], "%Y-%m-%dT%H:%M:%SZ"))
        return max(0.0, at - time.time())  # both by AWS's clock
    except (OSError, ValueError, KeyError, TypeError):  # 404: no notice
        return None


class Agent:
    def __init__(self) -> None:
        self.about = deadman.machine()
        self.boot_id, self.began = deadman.boot()
        self.senses = Senses(notebook_url(), self.about["notebook_token"])
        self.doings, self.saver = Doings(self.senses), Saver()
        self.carrier: subprocess.Popen[str] | None = None
        self.wait = ("", "")  # for what, and when that was chosen: the same chosen again is another wait
        self.script, self.save_seconds = "", 60.0
        self.save_at: float | None = None  # uptime
        self.reclaim: float | None = None  # seconds until AWS takes the machine back
        # After a crash of ours nobody knows what was used before: as if just now.
        now = uptime()
        self.facts = idle.Facts(self.began, last_active_at=now, last_report_at=now, last_human_at=now)
        self.judged_at, self.judged = uptime(), self.senses.work
        self.notice = ""
        self.promised: float | None = None  # uptime; the portal told its student that it runs until then
        self.visited_at: float | None = None  # uptime, as the portal told: typing passes its gateway, and no kernel
        self.limits, self.report_seconds = idle.Limits(**self.about["limits"]), float(self.about["report_seconds"])
        with contextlib.suppress(
            ValueError, TypeError, AttributeError
        ):  # after a crash: what the portal last said still holds
            self._obey(json.loads(deadman.remembered("answer") or "{}"))

    def run(self) -> None:
        report_at, told = 0.0, None
        while True:
            self.senses.sample()
            self.judge()
            self.watch()
            news = self.hears_of_reclaim()
            self.save_in_time()
            if self.await_end() or news or self.saver.last is not told or uptime() >= report_at:
                report_at, told = uptime() + self.report_seconds, self.saver.last
                self.report()
            time.sleep(min(SAMPLE_SECONDS, self.report_seconds))

    # -------------------------------------------------------------- the portal
    def report(self) -> None:
        asked_at = uptime()  # before the call: a slow answer must not buy lease time
        try:
            answer = self._post(self.reading(asked_at))
            left = answer.get("lease_seconds_left")
            if left is not None:  # below zero when it is over: so it can not be pushed on by reporting
                deadman.arm(asked_at + float(left) + float(self.about["margin_seconds"]))
            kept, before = float(answer.get("kept_seconds_left") or 0), self.facts.kept_until
            # A keeping that is over still counts as use until its end; one that was taken back ends now.
            ends = asked_at + kept if kept > 0 else before and min(before, asked_at)
            self._obey({**answer, "kept_until": ends, "done_at": None})  # an end is ours to tell
            self._plan_save(answer.get("stop_seconds_left"), asked_at)
            promised = answer.get("warned_seconds_left")
            self.promised = None if promised is None else asked_at + float(promised) + lateness(self.limits)
            if (answer.get("save") or {}).get("now") and self.save_at != float("inf"):
                self.save_at = asked_at  # a person stopped it, and waits
            ago = answer.get("human_seconds_ago")
            self.visited_at = self.visited_at if ago is None else asked_at - float(ago)
            notice = str(answer.get("notice") or (self.notice if self.reclaim is not None else ""))
            self._let_in(answer.get("ssh_keys"))
        except (OSError, http.client.HTTPException, ValueError, TypeError, AttributeError) as error:
            print(f"lamplighter: no answer: {error}", flush=True)  # noqa: T201
            return
        if notice != self.notice:
            self.saver.tell(notice, str(answer.get("notice_url") or ""))
            if notice:
                say(notice)
        self.notice = notice
        if answer.get("home") and (self.carrier is None or self.carrier.poll() is not None):
            self.carry()

    def carry(self) -> None:
        """Its student takes the files along; with the next answer it is tried again."""
        failures = (OSError, http.client.HTTPException, ValueError, KeyError, subprocess.SubprocessError)
        with contextlib.suppress(*failures):
            told = self._post({"say": "program", "packer": "-"}, "/home")
            self.carrier = carry(self.about, told["program"])

    def _let_in(self, keys: list | None) -> None:
        """None: this course has no SSH, and what is there stays."""
        try:
            if isinstance(keys, list):
                write_keys(keys)
        except (OSError, KeyError) as error:
            print(f"lamplighter: SSH keys not written: {error}", flush=True)  # noqa: T201

    def reading(self, now: float) -> dict:
        """Counters since boot, so that a lost, doubled or late report loses nothing."""
        human_at, work, done_at = self.senses.people.at, self.senses.work, self.facts.done_at
        return {
            **{name: round(value, 2) for name, value in asdict(work).items()},
            "gpu_busy_s": self.senses.gpu.seconds(),  # None: unknown
            "boot_id": self.boot_id,
            "uptime_s": round(now - self.began, 2),
            "human_age_s": None if human_at is None else round(now - human_at, 1),
            "kernels_busy": sum(self.senses.people.kernels.values()),
            "agent_version": VERSION,
            "gpu_percent": self.senses.gpu.percent(),
            "doings": self.doings.look(),
            "done": None if done_at is None else {"task": self.wait[0], "age_s": round(now - done_at, 1)},
            "reclaim_s": self.reclaim,
            "net_tx_bytes": self.senses.sent_bytes,
            "saved": self._saved(now),
        }

    def _saved(self, now: float) -> dict | None:
        last = self.saver.last
        return last and {**{k: last[k] for k in ("n", "exit", "seconds")}, "age_s": round(now - last["at"], 1)}

    def _post(self, reading: dict, door: str = "/report") -> dict:
        url = self.about["report_url"].rpartition("/")[0] + door
        request = urllib.request.Request(url, json.dumps(reading).encode(), method="POST")  # noqa: S310
        request.add_header("Content-Type", "application/json")
        request.add_header("Authorization", f"Bearer {self.about['slug']}:{self.about['secret']}")
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return json.loads(answer.read(65536))

    def _obey(self, answer: dict) -> None:
        """Raises ValueError, TypeError or AttributeError on what makes no sense; then nothing changes."""
        said = answer.get("limits", asdict(self.limits))
        # Of a newer portal: what this one does not know is not for it.
        known = {k: v for k, v in said.items() if k in idle.Limits.__dataclass_fields__}
        limits = replace(self.limits, **{k: None if v is None else float(v) for k, v in known.items()})
        seconds = min(max(1.0, float(answer.get("report_seconds", self.report_seconds))), 600.0)
        self.limits, self.report_seconds = limits, seconds
        self.facts = replace(self.facts, kept_until=answer.get("kept_until"))
        wait = (str(answer.get("awaited", self.wait[0]) or ""), str(answer.get("awaited_since", self.wait[1]) or ""))
        if wait != self.wait:
            self.wait = wait
            self.facts = replace(self.facts, done_at=answer.get("done_at"))
        save = answer.get("save") or {}
        self.script = str(save.get("script", self.script))
        self.save_seconds = min(float(save.get("seconds", self.save_seconds)), 600.0)
        self._remember()

    def _remember(self) -> None:
        """As an answer, for whoever is begun after a crash of ours."""
        known = {
            "limits": asdict(self.limits),
            "report_seconds": self.report_seconds,
            "kept_until": self.facts.kept_until,
            "awaited": self.wait[0],
            "awaited_since": self.wait[1],
            "done_at": self.facts.done_at,
            "save": {"script": self.script, "seconds": self.save_seconds},
        }
        deadman.remember("answer", json.dumps(known))

    # -------------------------------------------------------------- ends
    def await_end(self) -> bool:
        """True once: what its student waits for has just ended. Saved first: the portal stops it at once."""
        if not self.wait[0] or self.facts.done_at is not None or not self.doings.over(*self.wait):
            return False
        self.facts = replace(self.facts, done_at=uptime())
        with contextlib.suppress(OSError):  # then with the next answer
            self._remember()
        self.saver.finish(self.script, self.save_seconds)
        return True

    def _plan_save(self, left: float | None, asked_at: float) -> None:
        """The portal says when it stops the machine, if nothing else happens. Once begun it is not begun again."""
        if left is None:
            self.save_at = None if self.reclaim is None else self.save_at
        elif self.save_at is None or uptime() < self.save_at < float("inf"):
            self.save_at = asked_at + float(left) - self.saver.lead(self.save_seconds, float(left))

    def hears_of_reclaim(self) -> bool:
        """True once. Looked for at each sample: of the two minutes that AWS leaves, a report would cost one."""
        before, self.reclaim = self.reclaim, reclaim_seconds()
        if self.reclaim is None or before is not None:
            return False
        self.notice = f"AWS takes this machine back in {round(self.reclaim)} seconds. Save what you have open."
        say(self.notice)
        self.saver.tell(self.notice, "")
        return True

    def save_in_time(self) -> None:
        if self.reclaim is not None and self.save_at is None:
            self.save_at = uptime()  # two minutes are left at most
        if self.save_at is not None and self.save_at <= uptime():
            self.save_at = float("inf")  # done for this stop; a new one is planned when this one is called off
            left = float("inf") if self.reclaim is None else max(5.0, self.reclaim - RECLAIM_SPARE)
            self.saver.begin(self.script, min(self.save_seconds, left))

    # -------------------------------------------------------------- our own turn
    def judge(self) -> None:
        now = uptime()
        if now - self.judged_at < max(idle.SHORTEST_WINDOW, min(self.report_seconds, 60.0) - 1):
            return
        work, since = self.senses.work, self.judged
        done = idle.Work(**{name: value - getattr(since, name) for name, value in asdict(work).items()})
        people = self.senses.people
        complete = self.senses.gpu.seconds() is not None
        human_at = idle.latest(people.at, self.visited_at)
        reading = idle.Reading(done, now - self.judged_at, human_at, any(people.kernels.values()), complete)
        self.facts = idle.observe(self.facts, reading, self.limits, now)
        self.judged_at, self.judged = now, work

    def watch(self) -> None:
        now = uptime()
        told = self._in_our_turn(now)
        told = replace(told, warned_until=idle.latest(told.warned_until, self.promised))
        decision = idle.decide(told, later(self.limits), now)
        self.facts = idle.warned_after(self.facts, decision, now)
        if decision.verdict is idle.Verdict.STOP:
            self.saver.finish(self.script, self.save_seconds)
            deadman.power_off(f"unused ({decision.cause.value})")
            time.sleep(20)  # and decide again if it was not heard
        elif decision.verdict is idle.Verdict.WARN and not decision.warned:
            minutes = max(1, round(((decision.stops_at or now) - now) / 60))
            say(f"Nothing has used this machine for a while. It powers off in {minutes} min unless somebody works.")

    def _in_our_turn(self, now: float) -> idle.Facts:
        """The end that was waited for is the portal's to act on first; and whoever came back since the last look counts
        already. A later `done_at` instead would make them look as if they had left before it."""
        ended = self.facts.done_at
        human_at = idle.latest(self.facts.last_human_at, self.senses.people.at, self.visited_at)
        ours = ended is not None and now >= ended + MOST_LATE
        return replace(self.facts, done_at=ended if ours else None, last_human_at=human_at)


if __name__ == "__main__":
    Agent().run()
