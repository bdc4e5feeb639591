"""A clock that stands still until a test moves it, and a way to let tasks settle."""

from bond_core.clock import NS, ManualClock, settle

__all__ = ["NS", "ManualClock", "settle"]
