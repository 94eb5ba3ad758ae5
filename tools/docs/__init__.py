"""``make docs``: documents and configuration generated from the code, and whether a setting is missing anywhere."""
