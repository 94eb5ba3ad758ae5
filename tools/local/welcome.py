"""The message of ``make run`` once everything is up."""

from collections.abc import Sequence

from tools.local.commands import Model

_WELCOME = """\
READY {url}

TOKEN=$(make -s token{port_option})
JOB=$(curl -sS {url}/v1/jobs -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \\
  -d '{{"type": "generate", "input": {{"prompt": "What is a queue?"}}}}' | tee /dev/stderr | grep -o 'job_[0-9a-f]*')
curl -sS {url}/v1/jobs/$JOB -H "Authorization: Bearer $TOKEN" -H 'Prefer: wait=10' -w '\\n'

Another caller: make -s token AS=bob{port_option}
Logs: .local/{port}/*.log
Stop: Ctrl-C"""

_DEMONSTRATION = """
The worker only returns prompts in capitals. With a model: BACKEND=http://…/v1 MODEL=… make run"""


def welcome(url: str, port: int, models: Sequence[Model]) -> str:
    """Return the line that says that everything is up, and commands to copy."""
    option = "" if port == 8000 else f" PORT={port}"
    is_demonstration = any(model.backend is None for model in models)
    return _WELCOME.format(url=url, port=port, port_option=option) + (_DEMONSTRATION if is_demonstration else "")
