"""Who may do what: secrets, tokens, whose request it is, and how much of it."""
