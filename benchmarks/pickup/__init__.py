"""``python -m benchmarks.pickup COMMIT``: how soon idle workers start jobs, and what their idleness costs."""
