"""Client for model servers that implement OpenAI's chat completions API."""
