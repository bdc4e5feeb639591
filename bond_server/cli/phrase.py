"""Say in a phrase what was understood."""
def understood(compiled): return "TODO"
