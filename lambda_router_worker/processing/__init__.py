"""The loop: claim, start, have a handler process the job, end it."""
