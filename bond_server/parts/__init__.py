"""What plugins add to the server and to the command line."""
