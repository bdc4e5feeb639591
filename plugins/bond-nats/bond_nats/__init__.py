"""Bond's records to NATS JetStream."""
