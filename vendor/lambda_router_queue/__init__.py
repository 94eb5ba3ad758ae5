"""What the function and the worker share: the protocol of the queue and the way to Redis. Imports neither of them."""
