"""How the plain worker asks the model: OpenAI's chat completions by the standard library. No part of the queue."""

import json
import random
import threading
from os import environ  # noqa: TID251 (shares nothing with this repository)
from urllib.error import HTTPError
from urllib.request import Request, urlopen

BUSY = {408, 409, 425, 429}
REFUSED_US = {401, 403, 404, 405}


def trouble(error):
    """Whether that is the model server's own trouble: it is gone, or does not want this worker."""
    return error.code in REFUSED_US if isinstance(error, HTTPError) else isinstance(error, OSError)


def post(job, **more):
    body = json.dumps(job | {"model": environ["MODEL"]}).encode()
    headers = {"Content-Type": "application/json"} | more.pop("headers", {})
    return urlopen(Request(f"{environ['BACKEND']}/chat/completions", body, headers), **more)


def is_well():
    """Whether the server completes a token."""
    try:
        post({"messages": [{"role": "user", "content": "ping"}], "max_tokens": 1}, timeout=10).close()
    except OSError as error:
        return not trouble(error)
    return True


def streamed(answer):
    """The pieces of a text, as they come."""
    for line in answer:
        data = line.removeprefix(b"data:").strip()
        if line.startswith(b"data:") and data != b"[DONE]":
            yield json.loads(data)["choices"][0]["delta"].get("content") or ""


class Asking(threading.Thread):
    """Asks in the background. Its outcome, once there: the script that writes it, its arguments behind the token.

    ``heard``: the text so far, piece by piece.
    """

    def __init__(self, job, token, attempts):
        super().__init__(daemon=True)
        self.job, self.token, self.attempts, self.outcome, self.heard = job, token, attempts, (), []
        self.start()

    def run(self):
        try:
            self.outcome = "finish", "completed", "result", json.dumps(self.ask())
        except Exception as error:  # whatever it was: the model refused, or another try may help
            self.outcome = self.ended_by(error)

    def ask(self):
        given = self.job["input"]
        messages = given.get("messages") or [{"role": "user", "content": given["prompt"]}]
        headers = {"traceparent": self.job["traceparent"]}
        timeout = self.job["timeout_ms"] / 1000
        asked = given | {"messages": messages, "stream": True}
        with post(asked, headers=headers, timeout=timeout) as answer:
            if answer.headers.get_content_type() == "text/event-stream":
                self.heard.extend(streamed(answer))
                message = {"role": "assistant", "content": "".join(self.heard)}
            else:
                message = json.load(answer)["choices"][0]["message"]
        return {"text": message["content"] or ""} | ({"message": message} if "messages" in given else {})

    def ended_by(self, error):
        if trouble(error) and not isinstance(error, TimeoutError):
            return "give_back", "untouched" if isinstance(error, HTTPError) else "crashed", 3
        return self.refused() if self.is_refusal(error) else self.retry(error)

    def is_refusal(self, error):
        return 400 <= getattr(error, "code", 500) < 500 and error.code not in BUSY

    def refused(self):
        return "finish", "failed", "error", '{"code": "refused", "message": "The model refused the job."}'

    def retry(self, error):
        asked, policy = getattr(error, "headers", {}).get("Retry-After", ""), self.job["retry"]
        ceiling = min(policy["longest_delay_ms"], policy["first_delay_ms"] * 2 ** (self.attempts - 1))
        delay = max(random.randint(0, ceiling), int(asked) * 1000 if asked.isdigit() else 0)
        return "retry", delay, policy["attempts"], "no_answer", "The model did not answer."
