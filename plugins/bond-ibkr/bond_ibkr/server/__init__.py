"""What the plugin adds to the server and to the command line: ticks as they come, by contract."""
