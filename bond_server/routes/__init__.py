"""What can be asked of the server, one file a subject. Handlers are thin: the work is elsewhere."""
