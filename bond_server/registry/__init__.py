"""Which streams there are: kept outside the process that runs them, so that they outlive it."""
