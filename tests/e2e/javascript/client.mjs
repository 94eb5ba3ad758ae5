// What OpenAI's own JavaScript client makes of a running service, as JSON. Arguments: base URL, token.

import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.argv[2], apiKey: process.argv[3] });
const said = {};

said.models = (await client.models.list()).data.map((model) => model.id);

let response = await client.responses.create({ model: "tinyllama", input: "hello", background: true });
said.created = response.status;
while (["queued", "in_progress"].includes(response.status)) {
  await new Promise((resolve) => setTimeout(resolve, 100));
  response = await client.responses.retrieve(response.id);
}
said.completed = response.output_text;

const next = await client.responses.create({
  model: "tinyllama",
  input: "again",
  previous_response_id: response.id,
});
said.next = next.output_text;
said.cancelled = (await client.responses.cancel(next.id)).status;
said.items = (await client.responses.inputItems.list(next.id)).data.length;
await client.responses.delete(next.id);

try {
  await client.responses.retrieve(next.id);
} catch (error) {
  said.deleted = [error.constructor.name, error.status, error.code];
}
try {
  await client.responses.create({ model: "other", input: "hello" });
} catch (error) {
  said.unknown = [error.constructor.name, error.status, error.code, error.param];
}

const chat = await client.chat.completions.create({
  model: "tinyllama",
  messages: [{ role: "user", content: "hello" }],
});
said.chat = chat.choices[0].message.content;

console.log(JSON.stringify(said));
