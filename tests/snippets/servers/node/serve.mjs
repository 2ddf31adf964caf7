// node serve.mjs express|express-after-json|hono|node ./snippet.mjs PORT
import { createServer } from "node:http";

const [kind, file, port] = process.argv.slice(2);
const { webhooks, POST } = await import(file);

/** Node's own Request and Response, with nothing of a framework. */
function fetchStyle(incoming, outgoing) {
  const chunks = [];
  incoming.on("data", (chunk) => chunks.push(chunk));
  incoming.on("end", async () => {
    const request = new Request(`http://127.0.0.1${incoming.url}`, {
      method: incoming.method,
      headers: incoming.headers,
      body: Buffer.concat(chunks),
    });
    const response = await POST(request).catch((error) => new Response(String(error), { status: 500 }));
    outgoing.writeHead(response.status, Object.fromEntries(response.headers));
    outgoing.end(Buffer.from(await response.arrayBuffer()));
  });
}

const listen = {
  async express() {
    const { default: express } = await import("express");
    express().use(webhooks).use(express.json()).listen(port, "127.0.0.1");
  },
  async "express-after-json"() {
    const { default: express } = await import("express");
    express().use(express.json()).use(webhooks).listen(port, "127.0.0.1");
  },
  async hono() {
    const { Hono } = await import("hono");
    const { serve } = await import("@hono/node-server");
    const app = new Hono();
    app.post("/webhooks", (c) => POST(c.req.raw));
    serve({ fetch: app.fetch, hostname: "127.0.0.1", port: Number(port) });
  },
  node() {
    createServer(fetchStyle).listen(port, "127.0.0.1");
  },
};
await listen[kind]();
