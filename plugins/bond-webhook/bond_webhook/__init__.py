"""Bond's records to an HTTP endpoint, signed by Standard Webhooks 1.0.0."""
