"""Bond's connectors to crypto exchanges, through ccxt and ccxt.pro."""
