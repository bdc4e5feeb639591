"""Conditions on records: how they are written, and what they mean."""
