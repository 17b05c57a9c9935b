import os

# Several test processes on few cores would otherwise spin against each other.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
