#!/bin/sh
# JupyterLab, as the user who owns the machine. The token comes by environment: arguments are readable by all.
set -eu
ROOT="${LAMPLIGHTER_ROOT:-}"
ENV="$ROOT/etc/lamplighter/notebook.env"
# shellcheck source=/dev/null
if [ -r "$ENV" ]; then . "$ENV"; fi
export JUPYTER_TOKEN
cd "$HOME"
OURS="$HOME/.lamplighter"
# The course's image: a JupyterLab that students cannot break, and in front the Python that they use.
LAB="$ROOT/opt/jupyter/bin/jupyter-lab"
if [ -x "$LAB" ]; then
    PATH="$ROOT/opt/d2l/bin:$PATH"
else
    LAB=jupyter-lab
    for dir in /opt/pytorch/bin /opt/tensorflow/bin /opt/conda/bin "$HOME/.local/bin" "$OURS/bin"; do
        if [ -x "$dir/jupyter-lab" ]; then PATH="$dir:$PATH"; fi
    done
fi
if ! command -v "$LAB" >/dev/null; then
    # An image without JupyterLab gets one, once. Ubuntu ships Python without its venv module.
    python3 -m venv "$OURS" || { sudo -n apt-get update; sudo -n apt-get install -y python3-venv; python3 -m venv "$OURS"; }
    "$OURS/bin/pip" install --quiet jupyterlab nbgitpuller
    PATH="$OURS/bin:$PATH"
fi
# Whether to tell about news is asked in the page, whatever the server says: answer once, for good.
ASKED="$HOME/.jupyter/lab/user-settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
if [ ! -e "$ASKED" ]; then mkdir -p "${ASKED%/*}" && echo '{"fetchNews": "false"}' >"$ASKED"; fi
# Whoever dials out lets nobody in.
BIND=0.0.0.0
if [ -e "$ROOT/etc/lamplighter/tunnel" ]; then BIND=127.0.0.1; fi
if [ "$(id -u)" = 0 ]; then set -- --allow-root; fi
exec "$LAB" --no-browser --port=8888 --ServerApp.port_retries=0 --ip="${LAMPLIGHTER_BIND:-$BIND}" \
    --ServerApp.root_dir="$HOME" --ServerApp.allow_remote_access=True --ServerApp.quit_button=False \
    --LabApp.news_url=None --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate \
    --LabApp.extension_manager=readonly --LabApp.extra_labextensions_path="$ROOT/opt/lamplighter/lab" "$@"
