"""Checkers written by other projects, and the long part of our own tests."""
