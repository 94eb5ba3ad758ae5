"""OpenAI API on this machine for tools with a fixed key. Only ``commands.proxy`` imports it; it needs an extra."""
