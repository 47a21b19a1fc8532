"""The course image as the demo's machines find it: laid out by the very script that makes the real one."""

import shutil
import subprocess
from pathlib import Path

from demo.places import ROOT


def make_image(folder: Path) -> None:
    """Anew at each start: always this release's. JupyterLab and Python are not in it, but those of .venv."""
    shutil.rmtree(folder, ignore_errors=True)
    script = str(ROOT / "deploy/ami/install.sh")
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LAMPLIGHTER_ROOT": str(folder)}
    subprocess.run(["/bin/sh", script], env=environment, check=True, timeout=60)
