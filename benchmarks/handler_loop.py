"""Call a function's handler with events from standard input, and report the time of each.

Usage: ``handler_loop.py FUNCTION_FOLDER RUNTIME_FOLDER``. Started by ``functions.Loop``, with nothing else on
``sys.path``.
"""

import json
import os
import sys
import time
from pathlib import Path

here = str(Path(__file__).parent)
sys.path[:] = [sys.argv[1], *(path for path in sys.path if path != here), sys.argv[2]]
said, sys.stdout = sys.stdout, Path(os.devnull).open("w")  # noqa: SIM115 (open until the process ends)

import app  # noqa: E402 (found on the path set above)


class Context:
    function_name = "benchmark"
    function_version = "7"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:eu-central-1:123456789012:function:benchmark:live"
    aws_request_id = "request-1"

    def get_remaining_time_in_millis(self):
        return 29_000


for text in sys.stdin:
    cpu, wall, answer = [], [], None
    for event in json.loads(text):
        wall_before, cpu_before = time.perf_counter(), time.process_time()
        answer = app.app(event, Context())
        cpu.append(time.process_time() - cpu_before)
        wall.append(time.perf_counter() - wall_before)
    said.write(json.dumps({"cpu": cpu, "wall": wall, "answer": answer}) + "\n")
    said.flush()
