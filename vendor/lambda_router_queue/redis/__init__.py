"""The way to Redis: its URL, its bytes, its errors, and a cluster."""
