"""Tests of the processes that share streams over Redis."""
