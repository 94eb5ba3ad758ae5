"""Call the function with events from standard input, and leave its lines on standard output.

After each event comes a line that begins with U+001E: the CPU time and the answer. Started by ``__main__``.
"""

import json
import sys
import time

import app
from tests.conftest import LambdaContext

for text in sys.stdin:
    event = json.loads(text)
    before = time.process_time()
    answer = app.app(event, LambdaContext())
    cpu = time.process_time() - before
    sys.stdout.write("\x1e" + json.dumps({"cpu": cpu, "answer": answer}) + "\n")
    sys.stdout.flush()
