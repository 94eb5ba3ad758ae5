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
    sys.stdout.write(json.dumps(said))


if __name__ == "__main__":
    main()
