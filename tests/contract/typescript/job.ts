import type { components, paths } from "./schema.js";

type Schemas = components["schemas"];

// README's first job.
const first: paths["/v1/jobs"]["post"]["requestBody"]["content"]["application/json"] = {
  type: "generate",
  input: { prompt: "Why is the sky blue?" },
};
const talk: Schemas["ChatJobRequest"] = { type: "chat", input: { messages: [{ role: "user", content: "hello" }] } };
const all: Schemas["Batch"] = { jobs: [first, talk] };

// @ts-expect-error a prompt is a text
const wrong: Schemas["GenerateJobRequest"] = { type: "generate", input: { prompt: 1 } };

// @ts-expect-error the input is missing
const bare: Schemas["GenerateJobRequest"] = { type: "generate" };

// @ts-expect-error another type
const odd: Schemas["GenerateJobRequest"] = { type: "chat", input: { prompt: "x" } };

// @ts-expect-error a result has members
const result = (job: Schemas["GenerateJob"]): string => job.result;

export function text(job: Schemas["Job"]): string {
  switch (job.type) {
    case "generate":
    case "chat":
      return job.result?.text ?? job.error?.message ?? job.status;
  }
}
export { all, bare, odd, result, wrong };
