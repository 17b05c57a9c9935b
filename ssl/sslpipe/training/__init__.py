"""The training core: schedules, optimisers, the loop, its checkpoints and what it watches."""
