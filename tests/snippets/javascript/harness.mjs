import { readFileSync } from "node:fs";
import { verify } from "./snippet.mjs";

const names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
const bytes = (field) => Buffer.from(field, "base64");

for (const line of readFileSync(0, "latin1").trimEnd().split("\n")) {
  const fields = line.split(":");
  const headers = {};
  names.forEach((name, index) => {
    if (fields[index + 1] !== "-") headers[name] = bytes(fields[index + 1]).toString("latin1");
  });
  try {
    verify(bytes(fields[0]).toString(), HEADERS, bytes(fields[4]));
    console.log("accepted");
  } catch (error) {
    console.log(`refused ${error.name}`);
  }
}
