"""Encryption of inputs and results, and the keys for it."""
