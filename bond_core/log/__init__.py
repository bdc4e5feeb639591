"""The event log: after the windows, the only truth. What was published, in order, by id."""
