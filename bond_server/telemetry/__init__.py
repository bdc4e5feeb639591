"""What whoever runs the server sees of it: metrics, ids in logs, traces."""
