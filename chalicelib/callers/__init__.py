"""Authentication of callers: tokens, and the keys that sign them. Knows nothing of jobs."""
