"""Shared by the function and the worker: the queue's protocol and the connection to Redis. Imports neither of them."""

import logging

#: The function and the worker add the handlers of their own logs.
log = logging.getLogger("lambda_router_queue")
log.propagate = False
