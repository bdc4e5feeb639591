"""Turn a sentence into a stream's spec: deterministic, offline, and able to say why."""
