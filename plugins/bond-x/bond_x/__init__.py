"""Listen to posts on X (Twitter) for Bond."""
