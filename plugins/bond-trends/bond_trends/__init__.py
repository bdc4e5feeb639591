"""Listen to what is searched for, for Bond."""
