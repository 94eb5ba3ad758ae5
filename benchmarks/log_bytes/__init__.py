"""``python -m benchmarks.log_bytes``: what a request of each kind writes to the log, for ``tools/cost``."""
