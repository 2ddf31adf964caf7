// An app that sends events, and one that gets them, with nothing but what was generated of the document.
import createClient from "openapi-fetch";
import type { components, paths, webhooks } from "./api.js";

type Lifecycle = webhooks["batch-lifecycle"]["post"]["requestBody"]["content"]["application/json"];

type Refusal = components["schemas"]["ErrorAnswer"] | components["schemas"]["Problem"];

function code(refusal: Refusal | undefined): string | undefined {
  return refusal && ("error" in refusal ? refusal.error.code : refusal.code);
}

export function describe(event: Lifecycle): string {
  return `${event.type} of ${event.data.batch_id}: ${event.data.status}`;
}

const [baseUrl, token] = process.argv.slice(2);
if (!baseUrl || !token) throw new Error("Say where, and with which token.");
const client = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` } });

const body: components["schemas"]["BatchLifecycleInput"] = {
  type: "batch-lifecycle",
  data: { batch_id: "batch_1", status: "succeeded" },
};
const params = { header: { "Idempotency-Key": "from-typescript" } };
const sent = await client.POST("/events", { body, params });
if (!sent.data) throw new Error(code(sent.error));

const event = await client.GET("/events/{event_id}", { params: { path: { event_id: sent.data.id } } });
if (!event.data) throw new Error(code(event.error));
console.log(describe(JSON.parse(event.data.body) as Lifecycle));

// @ts-expect-error: there is no such event type
const unknown: components["schemas"]["EventInput"] = { type: "no-such-type", data: {} };
const refused = await client.POST("/events", { body: unknown });
console.log(refused.response.status, code(refused.error), sent.data.deliveries);
