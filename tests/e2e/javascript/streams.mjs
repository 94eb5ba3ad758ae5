// What OpenAI's own JavaScript client makes of a running service's streams, as JSON. Arguments: base URL, token.

import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.argv[2], apiKey: process.argv[3], maxRetries: 0 });
const said = {};
const model = "tiny";
const messages = [{ role: "user", content: "hello you" }];
const parameters = { type: "object", properties: { city: { type: "string" } } };

async function all(stream) {
  const events = [];
  for await (const event of await stream) events.push(event);
  return events;
}

function text(events) {
  const deltas = events.filter((event) => event.type === "response.output_text.delta");
  return deltas.map((event) => event.delta).join("");
}

async function raised(call) {
  try {
    await call();
  } catch (error) {
    return error instanceof OpenAI.APIError ? [error.code, error.message] : [error.constructor.name, error.message];
  }
  return "nothing raised";
}

const events = await all(client.responses.create({ model, input: "hello you", background: true, stream: true }));
const id = events[0].response.id;
said.first = events.slice(0, 3).map((event) => event.type);
said.last = [events.at(-1).type, events.at(-1).response.output_text ?? events.at(-1).response.output[0].content[0].text];
said.text = text(events);
said.numbered = events.every((event, place) => event.sequence_number === place);

said.resumed = [];
for (let number = 0; number + 1 < events.length; number += 1) {
  const rest = await all(client.responses.retrieve(id, { stream: true, starting_after: number }));
  said.resumed.push(JSON.stringify(rest) === JSON.stringify(events.slice(number + 1)));
}
said.resumed = said.resumed.every(Boolean);

said.helper = (await client.responses.stream({ model, input: "hello you" }).finalResponse()).output_text;
said.helped = (await client.responses.stream({ response_id: id, starting_after: 3 }).finalResponse()).output_text;

const tools = [{ type: "function", name: "weather", parameters, strict: false }];
const called = await client.responses.stream({ model, input: "weather?", tools }).finalResponse();
said.called = called.output.map((item) => [item.type, item.name, item.arguments]);

const chunks = await all(
  client.chat.completions.create({ model, messages, stream: true, stream_options: { include_usage: true } }),
);
said.chat = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");
said.usage = [chunks.at(-1).choices.length, chunks.at(-1).usage.total_tokens];
const chatTools = [{ type: "function", function: { name: "weather", parameters } }];
const completion = await client.chat.completions.stream({ model, messages, tools: chatTools }).finalChatCompletion();
said.chatCalled = completion.choices[0].message.tool_calls.map((call) => call.function.arguments);

said.restarted = await raised(() => all(client.responses.create({ model, input: "busy twice", stream: true })));
said.helperRestarted = await raised(() =>
  client.responses.stream({ model, input: "busy with a helper" }).finalResponse(),
);
said.chatRestarted = await raised(() =>
  all(client.chat.completions.create({ model, messages: [{ role: "user", content: "busy chat" }], stream: true })),
);
said.beyond = (await raised(() => client.responses.retrieve(id, { stream: true, starting_after: 999 })))[0];

console.log(JSON.stringify(said));
