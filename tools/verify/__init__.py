"""``make verify``, ``make drift``, ``make smoke``: whether what runs is what was built."""
