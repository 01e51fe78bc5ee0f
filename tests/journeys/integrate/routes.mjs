// Serves app/**/route.js of a folder as Next.js' App Router would: the handlers run, Next.js itself does not.
import { createServer } from "node:http";
import { readdirSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const app = resolve("app");
const routes = readdirSync(app, { recursive: true })
  .filter((file) => file.endsWith("route.js"))
  .map((file) => ({
    file: pathToFileURL(resolve(app, file)),
    pattern: new RegExp(`^/${dirname(file).replace(/\[(\w+)\]/g, "(?<$1>[^/]+)")}$`),
  }));

async function answer(incoming) {
  const url = new URL(incoming.url, "http://127.0.0.1");
  for (const { file, pattern } of routes) {
    const match = pattern.exec(url.pathname);
    if (!match) continue;
    const handler = (await import(file))[incoming.method];
    if (!handler) return new Response(null, { status: 405 });
    const chunks = [];
    for await (const chunk of incoming) chunks.push(chunk);
    const body = chunks.length ? Buffer.concat(chunks) : undefined;
    const request = new Request(url, { method: incoming.method, headers: incoming.headers, body });
    return handler(request, { params: Promise.resolve({ ...match.groups }) });
  }
  return new Response(null, { status: 404 });
}

createServer(async (incoming, outgoing) => {
  try {
    const response = await answer(incoming);
    outgoing.writeHead(response.status, Object.fromEntries(response.headers));
    outgoing.end(Buffer.from(await response.arrayBuffer()));
  } catch (error) {
    console.error(error);
    outgoing.writeHead(500).end();
  }
}).listen(Number(process.env.PORT), "127.0.0.1");
