"""The pages in a real browser, for ``make test-browser``: everything here is marked ``browser``."""
