"""Access to Redis: its URL, its protocol, its errors, and a cluster."""
