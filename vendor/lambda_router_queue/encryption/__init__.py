"""Encrypted inputs and results, and the keys for them."""
