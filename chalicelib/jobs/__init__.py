"""Jobs at the function: admission, reading, lists, waits, and the connection to Redis. Knows nothing of HTTP."""

from pathlib import Path

#: The scripts that the function runs.
LUA = Path(__file__).parent / "lua"
