"""``make docs``: documents and configuration generated from the code, and the check for missing settings."""
