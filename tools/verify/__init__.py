"""``make verify``, ``make drift``, ``make smoke``: check that what runs is what was built."""
