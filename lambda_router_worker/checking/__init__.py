"""The command ``check``: whether a worker with these options could process jobs, and what to mend if not."""
