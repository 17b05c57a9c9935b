"""What runs a process: devices, ranks, signals, memory, checkpoints, locks. No number depends on it."""
