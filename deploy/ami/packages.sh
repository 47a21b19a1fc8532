#!/bin/sh
# Step 2: all that comes from the internet, so no test and no simulated machine runs it. There the same JupyterLab and
# nbgitpuller are in .venv: jupyter.txt and requirements-demo.txt pin them alike.
set -eu
HERE="$(cd "$(dirname "$0")" && pwd)"
APT="apt-get -q -o DPkg::Lock::Timeout=600" # a fresh machine updates itself in its first minutes
export DEBIAN_FRONTEND=noninteractive PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

$APT update
$APT install -y python3-venv git

# Root's, so that no `pip install` of a student's keeps a notebook from opening.
python3 -m venv /opt/jupyter
/opt/jupyter/bin/pip install -r "$HERE/jupyter.txt"

# PyTorch of the d2l book knows no Python above 3.11, Ubuntu 24.04 has none below 3.12: uv brings one.
python3 -m venv /opt/uv
/opt/uv/bin/pip install uv==0.13.9
[ -x /opt/d2l/bin/python ] || UV_PYTHON_INSTALL_DIR=/opt/python /opt/uv/bin/uv venv --managed-python --python 3.11 --seed /opt/d2l
/opt/d2l/bin/pip install -r "$HERE/d2l.txt"
/opt/d2l/bin/pip install --no-deps d2l==1.0.3 # d2l.txt has all that it imports; it also asks for a whole old Jupyter

# Notebooks name their kernel python3: that is this one. The student's, who may install into it.
/opt/d2l/bin/python -m ipykernel install --prefix /opt/jupyter --name python3 --display-name "Python 3 (d2l)"
chown -R ubuntu: /opt/d2l
