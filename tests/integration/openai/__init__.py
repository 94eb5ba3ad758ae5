"""The OpenAI API, from a request to its response."""
