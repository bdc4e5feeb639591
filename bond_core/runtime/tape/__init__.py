"""Tapes: what a stream's engine was told, kept in a file so that it can be told again."""
