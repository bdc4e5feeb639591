"""Play venues on loopback, so that Bond's connectors can be run without a network."""
