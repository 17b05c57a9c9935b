#!/usr/bin/env bash
# The CUDA tests and the GPU benchmark, for a machine that has a GPU, torch and torchvision, and
# need not have a network. Run it from anywhere:
#
#     benchmarks/gpu.sh
#
# Other packages that are missing are installed from the folder $WHEELS (by default benchmarks/wheels),
# which is filled on a machine with a network, for the GPU machine's Python:
#
#     pip download --only-binary :all: --python-version 3.12 --constraint constraints.txt \
#         --requirement benchmarks/gpu-requirements.txt --dest benchmarks/wheels
#
# (wheels of torch and what it needs can be deleted from there). MINUTES limits the benchmark;
# DEVICE=cpu tries the script itself. The results go to benchmarks/results.
set -euo pipefail
cd "$(dirname "$0")/.."
wheels=${WHEELS:-benchmarks/wheels} device=${DEVICE:-cuda} minutes=${MINUTES:-3.5}
export PYTHONPATH=ssl PYTHONUNBUFFERED=1

python -c "
import sys, torch
if sys.argv[1] == 'cuda' and not torch.cuda.is_available():
    sys.exit('gpu.sh: torch %s sees no CUDA device' % torch.__version__)
print('torch', torch.__version__, '·', torch.cuda.get_device_name() if sys.argv[1] == 'cuda' else 'CPU')
" "$device"

if ! python -c "import filelock, kornia, lightly, pandas, psutil, pydantic, pytest, safetensors, sklearn, tabulate, tqdm, yaml" 2>/dev/null; then
    [ -d "$wheels" ] || { echo "gpu.sh: packages are missing and there is no folder $wheels" >&2; exit 1; }
    PIP_BREAK_SYSTEM_PACKAGES=1 python -m pip install --quiet --no-index --find-links "$wheels" \
        --requirement benchmarks/gpu-requirements.txt
fi

# In all less than eight minutes; the benchmark writes its results after each case.
failed=0
timeout 180 python -m pytest -q tests/gpu || failed=$?
timeout 270 python -m benchmarks --device "$device" --minutes "$minutes" || failed=$?
exit "$failed"
