"""The worker's side of the queue's protocol, and its connections to Redis."""
