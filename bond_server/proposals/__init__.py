"""Sentences that a language model proposes where the rules did not understand one."""
