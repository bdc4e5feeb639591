"""What tests of Bond, and of plugins, are written with."""
