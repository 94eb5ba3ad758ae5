"""Shared by the function and the worker: the queue's protocol and the connection to Redis. Imports neither of them."""
