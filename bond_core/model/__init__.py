"""What Bond speaks of: instruments, events, records. Plain data, no I/O, no clock."""
