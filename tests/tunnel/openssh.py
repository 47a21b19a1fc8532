"""Debian's own SSH server as a machine's, in a folder: with a user `ubuntu`, that one's home, and a host key."""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from instances.ssh_access import LOGIN
from tests.conftest import SSHD, USERS
from tests.gateway.conftest import ROOT, wait_until

SHIPPED = "/etc/ssh/sshd_config"  # Debian's and Ubuntu's are the same, and nobody of ours edits a machine's
STUDENT = 10007 if os.geteuid() == 0 else os.getuid()  # only root has a user to give


@dataclass
class Sshd:
    folder: Path
    home: Path
    where: str
    port: int
    uid: int = STUDENT
    pid: int = 0

    @property
    def environment(self) -> dict[str, str]:
        """In which the machine's users are this folder's."""
        users = {"NSS_WRAPPER_PASSWD": f"{self.folder}/passwd", "NSS_WRAPPER_GROUP": f"{self.folder}/group"}
        return users | {"LD_PRELOAD": USERS}

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def lay_out(self) -> None:
        self.folder.chmod(0o755)  # the student's server process must get to their home
        self.home.mkdir(parents=True, exist_ok=True)
        os.chown(self.home, self.uid, self.uid)
        (self.folder / "passwd").write_text(
            f"{LOGIN}:x:{self.uid}:{self.uid}:Ubuntu:{self.home}:/bin/sh\nsshd:x:{os.getuid()}:{os.getgid()}::/:/bin/false\n"
            "root:x:0:0:root:/nowhere:/bin/sh\n"
        )
        (self.folder / "group").write_text(f"{LOGIN}:x:{self.uid}:\n")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / "host")], check=True)
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # as its unit does

    def command(self, *more: str) -> list[str]:
        """The shipped configuration, with what must be this folder's. What comes first, counts."""
        session = " ".join(f"{name}={value}" for name, value in self.environment.items())
        own = [f"Port={self.port}", f"ListenAddress={self.where}", f"HostKey={self.folder}/host", "PidFile=none"]
        own += ["UsePAM=no", f"SetEnv={session}"]  # PAM would ask this computer about a user that it has not
        return [SSHD or "", *more, "-f", SHIPPED, *(word for option in own for word in ("-o", option))]

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        with open(self.folder / "log", "ab") as log:
            process = subprocess.Popen(
                self.command("-D", "-e"), env=os.environ | self.environment, stdin=subprocess.DEVNULL, stderr=log
            )
        self.pid = process.pid
        try:
            wait_until(lambda: self._opens() or process.poll() is not None, "sshd listens")
            assert process.poll() is None, self.log
            yield
        finally:
            process.terminate()
            process.wait(20)

    def _opens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((self.where, self.port), timeout=5):
            return True
        return False

    def sessions(self) -> list[str]:
        """The processes that serve somebody at this moment."""
        found = subprocess.run(["pgrep", "-P", str(self.pid)], capture_output=True, text=True)
        return found.stdout.split()

    def told(self, keys: list[str]) -> None:
        """Writes them as root's agent does for its user: with the file that an image lays out."""
        root = self.folder / "root"
        if not root.exists():
            layout = os.environ | {"LAMPLIGHTER_ROOT": str(root)}
            subprocess.run(["sh", str(ROOT / "deploy/ami/install.sh")], env=layout, check=True, timeout=30)
        code = f"import sys; sys.path.insert(0, '{root}/opt/lamplighter'); import keys; keys.write_keys({keys!r})"
        environment = os.environ | self.environment | {"LAMPLIGHTER_OWNER": LOGIN, "LAMPLIGHTER_ROOT": str(root)}
        subprocess.run([sys.executable, "-I", "-B", "-c", code], env=environment, check=True, timeout=30)


@contextlib.contextmanager
def machine_with_sshd(where: str, port: int) -> Iterator[Sshd]:
    with tempfile.TemporaryDirectory(prefix="sshd-") as folder:
        sshd = Sshd(Path(folder), Path(folder) / "home" / LOGIN, where, port)
        sshd.lay_out()
        with sshd.running():
            yield sshd
