"""Listen to Alpaca for Bond."""
