"""Bond's connector to Interactive Brokers, through ib_async."""
