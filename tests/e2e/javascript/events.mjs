// What npm's `eventsource` reads of a job's events, as JSON. Arguments: URL of the events, token.
// It reconnects by itself, until the response is 204.

import { EventSource } from "eventsource";

const [url, token] = process.argv.slice(2);
const said = { deltas: [], restarted: 0, jobs: [], ids: [], resumedAfter: [], statuses: [] };

const source = new EventSource(url, {
  fetch: async (input, init) => {
    const headers = { ...init.headers, Authorization: `Bearer ${token}` };
    const response = await fetch(input, { ...init, headers });
    said.resumedAfter.push(headers["Last-Event-ID"] ?? null);
    said.statuses.push(response.status);
    return response;
  },
});
source.addEventListener("delta", (event) => {
  said.ids.push(event.lastEventId);
  said.deltas.push(JSON.parse(event.data).text);
});
source.addEventListener("restarted", (event) => {
  said.ids.push(event.lastEventId);
  said.deltas = [];
  said.restarted += 1;
});
source.addEventListener("job", (event) => {
  said.ids.push(event.lastEventId);
  said.jobs.push(JSON.parse(event.data));
});
source.addEventListener("error", (event) => {
  if (source.readyState === EventSource.CLOSED) {
    console.log(JSON.stringify({ ...said, closedBy: event.code ?? null }));
  }
});
