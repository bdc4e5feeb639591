"""Every error by its code: what causes it, what mends it, and what HTTP and WebSocket say."""
