"""The server, the command line and the language of Bond."""
