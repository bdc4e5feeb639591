"""Listen to news feeds for Bond."""
