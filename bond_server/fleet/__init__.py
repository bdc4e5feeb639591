"""Processes that share streams over Redis: who keeps which are there, and who runs which."""
