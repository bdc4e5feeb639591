"""Recordings: keep what a stream was made of, run it again, and take it elsewhere."""
