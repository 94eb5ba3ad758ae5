"""What the function and the worker share: the protocol of the queue and the way to Redis. Imports neither of them."""

import logging

#: Function and worker give it the handlers of their own logs.
log = logging.getLogger("lambda_router_queue")
log.propagate = False
