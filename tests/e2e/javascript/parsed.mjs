// What npm's `eventsource-parser` finds in one response with a job's events, as JSON. Arguments: URL, token.

import { createParser } from "eventsource-parser";

const [url, token] = process.argv.slice(2);
const said = { events: [], retry: [], comments: 0, errors: [] };
const parser = createParser({
  onEvent: (event) => said.events.push(event),
  onRetry: (milliseconds) => said.retry.push(milliseconds),
  onComment: () => (said.comments += 1),
  onError: (error) => said.errors.push(error.message),
});

const response = await fetch(url, { headers: { Authorization: `Bearer ${token}`, Accept: "text/event-stream" } });
said.status = response.status;
said.type = response.headers.get("Content-Type");
for await (const piece of response.body.pipeThrough(new TextDecoderStream())) parser.feed(piece);
console.log(JSON.stringify(said));
