"""The event log in Redis or Valkey, a server or a cluster: processes share it, and it stays."""
