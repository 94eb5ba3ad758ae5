"""``make doctor``: what would make a deploy fail, before it."""
