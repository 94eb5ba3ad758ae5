"""A release of the project: its notes, its files, and what takes them."""
