"""``python -m tools.cost``: a month's bill for a number of jobs, from measured figures and a dated table of prices."""
