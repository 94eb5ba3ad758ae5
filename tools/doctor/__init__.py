"""``make doctor``: check beforehand for what would make a deploy fail."""
