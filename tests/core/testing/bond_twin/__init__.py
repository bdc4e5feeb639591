"""A plugin without a fault; the mutants of the conformance kit are copies of it with one each."""
