"""From a stream's log to its clients: where to start, one client's session, leaving in order."""
