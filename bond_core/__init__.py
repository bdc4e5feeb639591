"""The core of Bond: events, windows, the log, and what a plugin is written against."""
