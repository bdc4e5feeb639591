"""Listen to Polygon, which is called Massive now, for Bond."""
