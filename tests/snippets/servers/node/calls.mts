// Only compiled: how the code without a framework, and that with the library, is called from each of them.
import type { IncomingMessage } from "node:http";
import type { Request as ExpressRequest } from "express";
import { verify } from "./typescript.mjs";
import { verify as verifyByLibrary } from "./typescript_library.mjs";

export function fromNode(secret: string, request: IncomingMessage, body: Buffer): void {
  verify(secret, (name) => request.headers[name], body);
  verifyByLibrary(secret, request.headers, body);
}

export function fromExpress(secret: string, request: ExpressRequest): void {
  verify(secret, (name) => request.headers[name], request.body);
  verifyByLibrary(secret, request.headers, request.body);
}

export async function fromFetch(secret: string, request: Request): Promise<void> {
  const body = await request.arrayBuffer();
  verify(secret, (name) => request.headers.get(name), new Uint8Array(body));
  verifyByLibrary(secret, Object.fromEntries(request.headers), Buffer.from(body));
}
