"""Files, arrays, progress: how things are read, written and said. No number depends on it."""
