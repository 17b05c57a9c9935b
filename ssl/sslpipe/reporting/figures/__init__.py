"""The static figures, a module each: pure functions that return a matplotlib Figure."""
