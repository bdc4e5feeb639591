"""Listen to Finnhub for Bond."""
