"""The worker's side of the queue protocol, and its connections to Redis."""
