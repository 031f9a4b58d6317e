// node examples/enrich-over-http/main.ts: 200 orders, a price service that fails at first for every seventh article, the embedded broker.
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { LocalBroker } from "../../src/local/index.ts";
import { createTopics, runEmbedded, send, valuesIn } from "../embedded.ts";
import { enrichPipeline } from "./pipeline.ts";

let requests = 0;
let failures = 0;
const asked = new Set<string>();
const service = createServer((request, response) => {
  const [, article = ""] = /^\/prices\/article-(\d+)$/.exec(request.url ?? "") ?? [];
  requests++;
  if (article === "") {
    response.writeHead(404).end();
  } else if (Number(article) % 7 === 0 && !asked.has(article)) {
    asked.add(article);
    failures++;
    response.writeHead(503).end();
  } else {
    response.end(JSON.stringify({ cents: 100 + Number(article) }));
  }
});
service.listen(0, "127.0.0.1");
await once(service, "listening");
const pricesUrl = `http://127.0.0.1:${(service.address() as AddressInfo).port}/prices`;

await using broker = new LocalBroker();
await createTopics(broker, "orders", "orders-priced", "orders-dlq");
const orders = Array.from({ length: 200 }, (_, i) => ({
  customer: `customer-${i % 20}`,
  article: i % 50 === 49 ? "unknown" : `article-${i}`,
  quantity: 1 + (i % 3),
}));
await send(
  broker,
  "orders",
  orders.map((order) => [order.customer, JSON.stringify(order)] as const),
);

await runEmbedded({ broker, group: "pricing", input: "orders", deadLetters: "orders-dlq" }, (tools) =>
  enrichPipeline(tools, pricesUrl),
);
service.close();
service.closeAllConnections();

const priced = await valuesIn(broker, "orders-priced");
const dead = await valuesIn(broker, "orders-dlq");
console.log(`${priced.length} orders priced, ${dead.length} dead letters (articles that nobody knows)`);
console.log(`${requests} requests, ${failures} of which failed and were tried again`);
