"""What counts as a message that can't be read, and how many of them in a row are too many."""

MAX_UNREADABLE = 3
"""So many in a row mean that the connection, or the source, is no use."""

# What reading a message of the wrong shape raises. An AttributeError isn't among them: that
# is a mistake in the code, and is told as one.
UNREADABLE = (ValueError, TypeError, LookupError, ArithmeticError)
