"""Bond's records to Kafka."""
