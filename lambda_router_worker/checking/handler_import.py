"""A process that imports a handler and writes what is wrong with it to standard output, as JSON.

What the handler's module prints goes to standard error.
"""

import json
import os
import sys

from lambda_router_worker.processing.handlers import BadHandler, load_handler

if __name__ == "__main__":
    out = os.dup(1)
    os.dup2(2, 1)
    fault = ""
    try:
        load_handler(sys.argv[1])
    except BadHandler as error:
        fault = str(error)
    os.write(out, json.dumps(fault).encode())
    os._exit(0)  # whatever threads the module has started
