"""Who is calling: tokens, and the keys that sign them. Knows nothing of jobs."""
