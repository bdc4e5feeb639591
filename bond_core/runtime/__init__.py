"""Where things run: the only place in the core with tasks."""
