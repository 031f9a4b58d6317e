import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { kafkaTest, securedKafkaTest } from "./kafka-test.ts";

kafkaTest("a test gets a Kafka with topics of its own", async (kafka) => {
  const topic = await kafka.createTopic({ partitions: 3 });
  assert.deepEqual(
    await kafka.endOffsets(topic, 3),
    new Map([
      [0, 0],
      [1, 0],
      [2, 0],
    ]),
  );
  assert.equal((await kafka.committedOffsets(kafka.name("group"), topic)).size, 0);
});

securedKafkaTest("a test process that is killed takes its broker with it", async () => {
  const code = `
    import { startKafka } from ${JSON.stringify(new URL("./broker.ts", import.meta.url).href)};
    const kafka = await startKafka();
    console.log(kafka.brokers[0].ports.PLAINTEXT);
    setInterval(() => {}, 1_000);
  `;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", code], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [port] = (await once(child.stdout, "data")) as [Buffer];
  const socket = connect(Number(port.toString()), "127.0.0.1");
  await once(socket, "connect");
  // Cut off in whatever way: what it has not read yet makes the end of it an error.
  const lost = new Promise((resolve) =>
    socket
      .resume()
      .on("error", () => {})
      .once("close", resolve),
  );
  child.kill("SIGKILL");
  await lost;
});
