"""Any public WebSocket as a source of Bond, described by a mapping and not by code."""
