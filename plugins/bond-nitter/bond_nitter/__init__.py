"""Listen to posts by RSS, from several Nitter instances, for Bond."""
