"""Programs for people and for CI; nothing here ships to Lambda or to a worker."""
