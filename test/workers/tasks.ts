import { once } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { threadId } from "node:worker_threads";
import { InvalidMessage, MESSAGE_REJECTED } from "../../src/errors.ts";
import { FILTERED_PAYLOAD, type FilteredPayload } from "../../src/message/filtered.ts";
import { BrokerMessage, type Message } from "../../src/message/message.ts";
import { Partition } from "../../src/message/partition.ts";
import { KafkaPayload } from "../../src/message/payload.ts";

/** What the tests have workers do. */

/** Where tasks tell the tests which offset they are at; also a worker that holds its thread is heard. */
const announcements = new BroadcastChannel("arroyo-test-tasks");
announcements.unref();

function announce(message: Message<unknown>): void {
  announcements.postMessage(message.offset);
}

export function same<T>(message: Message<T>): T {
  return message.payload;
}

export async function sameLater<T>(message: Message<T>): Promise<T> {
  await delay(1);
  return message.payload;
}

/** Takes as many milliseconds as the payload says, asleep. */
export async function sleep(message: Message<number>): Promise<number> {
  announce(message);
  await delay(message.payload);
  return message.payload;
}

/** Takes as many milliseconds as the payload says, and holds the thread all the while. */
export function spin(message: Message<number>): number {
  const until = performance.now() + message.payload;
  while (performance.now() < until);
  return message.payload;
}

let calls = 0;

/** How often it was called in this worker, and for what. */
export function counted(message: Message<string>): string {
  return `${message.payload} ${++calls}`;
}

export function thread(_message: Message<unknown>): number {
  return threadId;
}

/** What a task sees of the message that it is given. */
export function seen(message: Message<unknown>): unknown {
  return {
    partition: message.partition?.toString(),
    interned: message.partition === Partition.of("orders", 0),
    offset: message.offset,
    timestampMs: message.timestampMs,
    committable: [...message.committable].map(([partition, offset]) => `${partition}@${offset}`),
    isMessage: message instanceof BrokerMessage,
    payload: message.payload,
  };
}

export function upperCase(message: Message<KafkaPayload>): KafkaPayload {
  const { key, headers } = message.payload;
  return new KafkaPayload(key, message.payload.text().toUpperCase(), headers);
}

/** As many payloads as the value says: one message becomes several. */
export function several(message: Message<KafkaPayload>): KafkaPayload[] {
  return Array.from({ length: Number(message.payload.text()) }, (_, i) => new KafkaPayload(`k${i}`, `v${i}`));
}

/** So many bytes as the payload says. */
export function bytes(message: Message<number>): Buffer {
  return Buffer.alloc(message.payload, message.offset);
}

export function evenOnly(message: Message<number>): number | FilteredPayload {
  return message.payload % 2 === 0 ? message.payload : FILTERED_PAYLOAD;
}

export function refuseOdd(message: Message<number>): number {
  if (message.payload % 2 === 1) {
    throw InvalidMessage.from(message, { reason: `${message.payload} is odd`, cause: new Error("not even") });
  }
  return message.payload;
}

/** The sum of a batch, of which each odd one is invalid. */
export function sumOfEven(message: Message<readonly Message<number>[]>): string {
  const odd = message.payload.find((one) => one.payload % 2 === 1);
  if (odd !== undefined) throw InvalidMessage.from(odd, { reason: `${odd.payload} is odd` });
  return message.payload.map((one) => one.payload).join("+");
}

export function elsewhere(_message: Message<unknown>): never {
  throw new InvalidMessage(Partition.of("orders", 7), 1_234);
}

class OutOfStock extends Error {
  override readonly name = "OutOfStock";
  readonly code = "E_STOCK";
}

export function failAt(message: Message<number>): number {
  if (message.payload < 0) {
    throw new OutOfStock(`nothing left of ${message.payload}`, { cause: new TypeError("beneath it") });
  }
  return message.payload;
}

export async function failLater(message: Message<number>): Promise<number> {
  await delay(1);
  return failAt(message);
}

export function throwText(_message: Message<unknown>): never {
  // oxlint-disable-next-line typescript/only-throw-error -- that is what is tested
  throw "just a text";
}

export function reject(_message: Message<unknown>): never {
  throw MESSAGE_REJECTED;
}

export function unclonable(message: Message<number>): unknown {
  return message.payload < 0 ? { callback: () => message.payload } : message.payload;
}

/** A file that says whether something has happened before. */
function first(path: string): boolean {
  if (existsSync(path)) return false;
  writeFileSync(path, "");
  return true;
}

/** Ends its worker the first time that it sees a path, and returns it the next time. */
export function exitOnce(message: Message<string>): string {
  if (message.payload.startsWith("/") && first(message.payload)) process.exit(7);
  return message.payload;
}

export function exitAt(message: Message<number>): number {
  if (message.payload < 0) process.exit(9);
  return message.payload;
}

/** Throws from a timer while the task itself still waits. */
export async function throwFromTimer(message: Message<string>): Promise<string> {
  if (message.payload.startsWith("/") && first(message.payload)) {
    setTimeout(() => {
      throw new Error("thrown from a timer");
    }, 1);
    await new Promise<never>(() => {});
  }
  return message.payload;
}

/** Has its worker die a little later, when it is idle. */
export function dieLater(message: Message<string>): string {
  setTimeout(() => {
    throw new Error("died while idle");
  }, 1);
  return message.payload;
}

export function hangAt(message: Message<number>): number {
  announce(message);
  if (message.payload < 0) for (;;);
  return message.payload;
}

export function hungForever(message: Message<number>): Promise<number> | number {
  announce(message);
  return message.payload < 0 ? new Promise<never>(() => {}) : message.payload;
}

/** Leaves a file behind for each message that it has worked on, once the test lets it go on. */
export async function leaveTrace(message: Message<string>): Promise<string> {
  writeFileSync(`${message.payload}.begun`, "");
  const goes = new BroadcastChannel("arroyo-test-go");
  const gone = once(goes, "message");
  announce(message);
  await gone;
  goes.close();
  writeFileSync(`${message.payload}.done`, "");
  return message.payload;
}

let settings = "nobody has set anything up";

export async function setUp(): Promise<void> {
  await delay(5);
  settings = "set up";
}

export function setUpBadly(): void {
  throw new TypeError("the database is not there");
}

export function exitInSetUp(): void {
  process.exit(3);
}

export function told(_message: Message<unknown>): string {
  return settings;
}

export const notAFunction = 42;

/** No task: it takes a text, not a message. */
export function ofText(text: string): string {
  return text;
}

/** Takes more memory than its worker may have. */
export function exhaust(_message: Message<number>): number {
  const kept: number[][] = [];
  for (;;) kept.push(Array.from({ length: 10_000 }, (_, i) => i));
}

/** Ends its worker as soon as the results of the batch are sent. */
export function exitAfter(message: Message<string>): string {
  setImmediate(() => process.exit(5));
  return message.payload;
}
