"""What LangChain makes of a running service, as JSON. Arguments: base URL, token. Runs in .venv-clients."""

import functools
import json
import operator
import sys
from typing import Any

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI


@tool
def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"rain in {city}"


def sum_of(chunks: Any) -> Any:
    """Return the message that the chunks make."""
    return functools.reduce(operator.add, chunks)


def main() -> None:
    url, token = sys.argv[1:]
    model = ChatOpenAI(model="tiny", base_url=url, api_key=token)
    said: dict[str, Any] = {"plain": model.invoke("hello").content}
    messages: list[Any] = [HumanMessage("weather?")]
    asked = model.bind_tools([weather]).invoke(messages)
    (call,) = asked.tool_calls
    messages += [asked, ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"])]
    said["called"] = call["name"]
    said["answered"] = model.bind_tools([weather]).invoke(messages).content
    responses = ChatOpenAI(model="tiny", base_url=url, api_key=token, use_responses_api=True)
    said["responses"] = responses.invoke("hello").text
    said["streamed"] = "".join(chunk.text for chunk in model.stream("hello you"))
    said["responses streamed"] = "".join(chunk.text for chunk in responses.stream("hello you"))
    whole = sum_of(model.bind_tools([weather]).stream([HumanMessage("weather?")]))
    said["call streamed"] = [call["args"] for call in whole.tool_calls]
    sys.stdout.write(json.dumps(said))


if __name__ == "__main__":
    main()
