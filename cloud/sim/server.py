"""Puts the simulated AWS together and runs it until it is told to stop, or its parent is gone."""

import os
import signal
import threading
import time
from pathlib import Path

from moto.server import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

from cloud.sim import files, strict_disks, strict_ec2
from cloud.sim.accounts import Account, Accounts
from cloud.sim.base_server import ACCOUNT
from cloud.sim.billing import TARGET as BILLING_TARGET
from cloud.sim.billing import Billing
from cloud.sim.control import Control
from cloud.sim.costs import TARGET as COSTS_TARGET
from cloud.sim.costs import Costs
from cloud.sim.faults import Faults
from cloud.sim.front import Front, JsonService
from cloud.sim.loads import SimulatedLoads
from cloud.sim.offers import TARGETS, Offers
from cloud.sim.rules import Rules

_TICK_SECONDS = 0.1
_ALIVE_SECONDS = 1.0


class Quiet(MotoRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """One line per call would bury the demo's own output."""


class Simulator:
    def __init__(self, folder: Path, *, region: str, rules: Rules, with_room: bool) -> None:
        self._folder = folder

        def account(number: str) -> Account:
            place = folder if number == ACCOUNT else folder / "accounts" / number
            return Account(number, place, region=region, rules=rules, with_room=with_room)

        home = account(ACCOUNT)
        faults, billing, costs = Faults(), Billing(home.store), Costs(home.store)
        offers = Offers(home.store, rules, region, home.network.image_id)
        home.world.vcpus_of = offers.vcpus

        def linked(number: str) -> Account:
            made = account(number)
            made.world.vcpus_of = lambda code: offers.vcpus(code, number)
            return made

        self.accounts = Accounts(home, linked)
        services: dict[str, JsonService] = {BILLING_TARGET: billing, COSTS_TARGET: costs}
        services |= dict.fromkeys(TARGETS, offers)
        strict_ec2.install(self.accounts.here)
        strict_disks.install(self.accounts.here)
        files.install(region, folder / "bucket")
        self.app = Front(
            DomainDispatcherApplication(create_backend_app),
            Control(self.accounts, billing, costs, offers, SimulatedLoads(region), faults, rules),
            self.accounts,
            services,
            faults,
            rules,
        )
        self._stop = threading.Event()
        self._alive_at = 0.0

    def run(self, host: str, port: int) -> None:
        """Serves until SIGTERM, SIGINT or the death of the parent process; then ends every machine's processes."""
        parent = os.getppid()  # before anybody hears that it runs: a parent may be gone the moment after
        server = make_server(host, port, self.app, threaded=True, request_handler=Quiet)
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda _number, _frame: self._stop.set())
        self.accounts.home.restore()
        self.accounts.restore()
        self.accounts.home.network.write(self._folder)
        threading.Thread(target=server.serve_forever, name="aws", daemon=True).start()
        print(f"Simulated AWS on http://{host}:{server.server_port}", flush=True)  # noqa: T201
        self._keep_time(parent)
        self._close(server)

    def _keep_time(self, parent: int) -> None:
        while not self._stop.wait(_TICK_SECONDS) and os.getppid() == parent:
            now = max(one.tick() for one in self.accounts.all())
            if now - self._alive_at >= _ALIVE_SECONDS:
                self._note_alive(now)

    def _note_alive(self, now: float) -> None:
        """After a crash, machines ran until here."""
        self._alive_at = now
        for one in self.accounts.all():
            one.store.put("alive", "at", now)

    def _close(self, server: BaseWSGIServer) -> None:
        server.shutdown()
        self._note_alive(time.time())
        for one in self.accounts.all():
            one.close()
