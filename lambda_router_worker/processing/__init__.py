"""The main loop: claim a job, start it, have a handler process it, and write its outcome."""
