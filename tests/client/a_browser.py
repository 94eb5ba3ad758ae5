"""``python -m tests.client.a_browser ADDRESS``: sign in as a person does, and load the page that comes after."""

import sys

from tests.client.played_router import signed_in, visit

if __name__ == "__main__":
    visit(signed_in(sys.argv[1]))
