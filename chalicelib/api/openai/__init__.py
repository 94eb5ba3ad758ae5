"""The HTTP side of the OpenAI API."""
