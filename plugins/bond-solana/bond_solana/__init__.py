"""Listen to what happens on Solana for Bond."""
