#!/bin/sh
# Step 3: is everything there, and does it compute? Ends the build if not.
set -eu
SEE='
import sys, torch
from d2l import torch as d2l
from PIL import Image
from torchvision import transforms
cuda = torch.cuda.is_available()
assert cuda or "gpu" not in sys.argv, "this machine has a GPU that PyTorch does not see"
one = torch.ones(64, 64, device=d2l.try_gpu())
assert (one @ one).sum().item() == 64**3
assert transforms.ToTensor()(Image.new("RGB", (8, 8))).shape == (3, 8, 8)
print("PyTorch", torch.__version__, "on", torch.cuda.get_device_name(0) if cuda else "the processor only")
'
echo "JupyterLab $(/opt/jupyter/bin/jupyter-lab --version)"
/opt/jupyter/bin/jupyter server extension list 2>&1 | grep "nbgitpuller.*OK"
grep -q '"/opt/d2l/bin/python' /opt/jupyter/share/jupyter/kernels/python3/kernel.json
if nvidia-smi >/dev/null 2>&1; then set -- gpu; else set --; fi
cd /tmp && sudo -u ubuntu /opt/d2l/bin/python -c "$SEE" "$@"
sudo -u ubuntu test -w /opt/d2l/lib
systemd-analyze verify /etc/systemd/system/lamplighter-*.service
