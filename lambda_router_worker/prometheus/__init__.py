"""Metrics for Prometheus: what is counted, and the page `/metrics` from which they are scraped."""
