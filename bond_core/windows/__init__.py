"""Event-time windows: pure and synchronous, no I/O, no clock."""
