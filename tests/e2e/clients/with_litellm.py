"""What LiteLLM makes of a running service, as JSON. Arguments: base URL, token. Runs in .venv-clients."""

import json
import sys
from typing import Any

import litellm


def main() -> None:
    url, token = sys.argv[1:]
    where: dict[str, Any] = {"model": "openai/tiny", "api_base": url, "api_key": token}
    chat = litellm.completion(messages=[{"role": "user", "content": "hello"}], **where)
    response = litellm.responses(input="hello", **where)
    said = {"plain": chat.choices[0].message.content, "responses": response.output[0].content[0].text}
    chunks = litellm.completion(messages=[{"role": "user", "content": "hello you"}], stream=True, **where)
    said["streamed"] = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    events = litellm.responses(input="hello you", stream=True, **where)
    said["responses streamed"] = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    sys.stdout.write(json.dumps(said))


if __name__ == "__main__":
    main()
