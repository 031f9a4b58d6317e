import { ConfigurationError } from "../errors.ts";
import type { ResolvedTable } from "./config-resolve.ts";
import { shown } from "./config-value.ts";

const ANSWER_OVERHEAD_BYTES = 512;
/** Brokers remember so many batches of a producer in each partition. */
const MAX_IDEMPOTENT_IN_FLIGHT = 5;

const TOKEN_REFRESH = "oauthbearer_token_refresh_cb";

/** How one setting's number must stand to another's. */
interface Order {
  readonly less: string;
  readonly more: string;
  /** Whether the two may be equal. */
  readonly orEqual: boolean;
}

const ORDERS: readonly Order[] = [
  { less: "heartbeat.interval.ms", more: "session.timeout.ms", orEqual: false },
  { less: "session.timeout.ms", more: "max.poll.interval.ms", orEqual: true },
  { less: "reconnect.backoff.ms", more: "reconnect.backoff.max.ms", orEqual: true },
  { less: "retry.backoff.ms", more: "retry.backoff.max.ms", orEqual: true },
  { less: "batch.size", more: "message.max.bytes", orEqual: true },
];

function described({ given }: ResolvedTable, key: string, value: unknown): string {
  return `"${key}" (${shown(value, false)}${given.has(key) ? "" : ", its default"})`;
}

function checkOrder(table: ResolvedTable, { less, more, orEqual }: Order): void {
  const [low, high] = [table.values[less] as number, table.values[more] as number];
  if (orEqual ? low <= high : low < high) return;
  const must = orEqual ? "must not be more than" : "must be less than";
  throw new ConfigurationError(
    `${described(table, less, low)} ${must} ${described(table, more, high)}: lower the first or raise the second.`,
  );
}

/** Defaults that follow another setting when they are not given themselves. */
function fillDependentDefaults({ values, given }: ResolvedTable): void {
  const number = (key: string): number => values[key] as number;
  if ("batch.size" in values && !given.has("batch.size")) {
    values["batch.size"] = Math.min(number("batch.size"), number("message.max.bytes"));
  }
  if ("linger.ms" in values && !given.has("sticky.partitioning.linger.ms")) {
    values["sticky.partitioning.linger.ms"] = Math.min(900_000, Math.ceil(2 * number("linger.ms")));
  }
  if ("fetch.max.bytes" in values && !given.has("receive.message.max.bytes")) {
    const needed = number("fetch.max.bytes") + ANSWER_OVERHEAD_BYTES;
    values["receive.message.max.bytes"] = Math.max(number("receive.message.max.bytes"), needed);
  }
}

/** Idempotence needs acknowledgements of all replicas, retries, and no more in flight than brokers remember. */
function settleIdempotence({ values, given }: ResolvedTable): void {
  if (!("enable.idempotence" in values)) return;
  const conflict = (
    [
      ["acks", values["acks"] !== -1],
      ["retries", values["retries"] === 0],
    ] as const
  ).find(([, rulesItOut]) => rulesItOut)?.[0];
  if (!given.has("enable.idempotence")) {
    if (conflict !== undefined) values["enable.idempotence"] = false;
    return;
  }
  if (values["enable.idempotence"] !== true) return;
  const inFlight = "max.in.flight.requests.per.connection";
  const tooMany = given.has(inFlight) && (values[inFlight] as number) > MAX_IDEMPOTENT_IN_FLIGHT;
  const wrong = conflict ?? (tooMany ? inFlight : undefined);
  if (wrong === undefined) return;
  const needed = wrong === "acks" ? "all" : wrong === "retries" ? "at least 1" : "at most 5";
  throw new ConfigurationError(
    `"enable.idempotence" needs "${wrong}" to be ${needed}, and it is ${shown(values[wrong], false)}: change one of them.`,
  );
}

/** What the brokers decide under one of the two group protocols has no effect when it is set here. */
const OF_CLASSIC = ["partition.assignment.strategy", "session.timeout.ms", "heartbeat.interval.ms"] as const;

function isBrokers({ values }: ResolvedTable, key: string): boolean {
  return values["group.protocol"] === "consumer" && (OF_CLASSIC as readonly string[]).includes(key);
}

function checkGroupProtocol({ values, given }: ResolvedTable): void {
  if (!("group.protocol" in values)) return;
  const isConsumer = values["group.protocol"] === "consumer";
  const useless = (isConsumer ? OF_CLASSIC : ["group.remote.assignor"]).find((key) => given.has(key));
  if (useless === undefined) return;
  throw new ConfigurationError(
    isConsumer
      ? `"${useless}" has no effect while "group.protocol" is consumer, since the brokers decide: leave it out.`
      : `"${useless}" has no effect while "group.protocol" is classic: set that to consumer, or leave this out.`,
  );
}

function checkSizesAndTimes(table: ResolvedTable): void {
  const { values } = table;
  const fetch = values["fetch.max.bytes"];
  const receive = values["receive.message.max.bytes"];
  if (typeof fetch === "number" && (receive as number) < fetch + ANSWER_OVERHEAD_BYTES) {
    throw new ConfigurationError(
      `${described(table, "receive.message.max.bytes", receive)} must exceed ` +
        `${described(table, "fetch.max.bytes", fetch)} by ${ANSWER_OVERHEAD_BYTES}: raise the first or lower the second.`,
    );
  }
  const [linger, timeout] = [values["linger.ms"], values["message.timeout.ms"]];
  if (typeof linger === "number" && timeout !== 0 && linger > (timeout as number)) {
    throw new ConfigurationError(
      `${described(table, "linger.ms", linger)} must not be more than ` +
        `${described(table, "message.timeout.ms", timeout)}: a message would time out before it is sent.`,
    );
  }
  if (table.given.has("auto.commit.interval.ms") && values["arroyo.enable.auto.commit"] !== true) {
    throw new ConfigurationError(
      `"auto.commit.interval.ms" has no effect without "arroyo.enable.auto.commit": set that to true or leave this out.`,
    );
  }
}

function checkSasl({ values, given }: ResolvedTable): void {
  const protocol = values["security.protocol"] as string;
  const mechanism = values["sasl.mechanism"] as string | undefined;
  if (mechanism === undefined) {
    throw new ConfigurationError(`"sasl.mechanism" must be given when "security.protocol" is ${protocol}.`);
  }
  const ofPassword = ["sasl.username", "sasl.password"];
  const ofToken = [TOKEN_REFRESH, "sasl.oauthbearer.config"];
  const isToken = mechanism === "OAUTHBEARER";
  for (const key of isToken ? [TOKEN_REFRESH] : ofPassword) {
    if (values[key] !== undefined) continue;
    throw new ConfigurationError(
      `"${key}" must be given when "security.protocol" is ${protocol} and "sasl.mechanism" is ${mechanism}.`,
    );
  }
  const useless = (isToken ? ofPassword : ofToken).find((key) => given.has(key));
  if (useless === undefined) return;
  throw new ConfigurationError(
    `"${useless}" has no effect while "sasl.mechanism" is ${mechanism}: change that, or leave this out.`,
  );
}

function checkSecurity({ values, given }: ResolvedTable): void {
  const protocol = values["security.protocol"] as string;
  for (const [prefix, without] of [
    ["sasl.", !protocol.startsWith("sasl_")],
    ["ssl.", !protocol.endsWith("ssl")],
  ] as const) {
    const useless = [...given].find(
      (key) =>
        key.startsWith(prefix) ||
        key.startsWith(`enable.${prefix}`) ||
        (prefix === "sasl." && key === TOKEN_REFRESH),
    );
    if (without && useless !== undefined) {
      throw new ConfigurationError(
        `"${useless}" has no effect while "security.protocol" is ${protocol}: ` +
          `set that to ${prefix === "sasl." ? "sasl_plaintext or sasl_ssl" : "ssl or sasl_ssl"}, or leave this out.`,
      );
    }
  }
  if (protocol.startsWith("sasl_")) checkSasl({ values, given });
  for (const what of ["ssl.ca", "ssl.certificate", "ssl.key"]) {
    if (given.has(`${what}.location`) && given.has(`${what}.pem`)) {
      throw new ConfigurationError(
        `"${what}.location" and "${what}.pem" are two ways to say one thing: give one.`,
      );
    }
  }
  const has = (what: string): boolean => given.has(`${what}.location`) || given.has(`${what}.pem`);
  if (has("ssl.certificate") !== has("ssl.key")) {
    throw new ConfigurationError(
      `A client certificate ("ssl.certificate.*") and its private key ("ssl.key.*") must be given together.`,
    );
  }
  if (given.has("ssl.key.password") && !has("ssl.key")) {
    throw new ConfigurationError(
      `"ssl.key.password" has no effect without "ssl.key.location" or "ssl.key.pem".`,
    );
  }
}

/**
 * Fills in the defaults that depend on other settings, and checks the settings against each other.
 *
 * @throws ConfigurationError that names both.
 */
export function applyRules(table: ResolvedTable): void {
  fillDependentDefaults(table);
  for (const order of ORDERS) {
    if (order.less in table.values && !isBrokers(table, order.less)) checkOrder(table, order);
  }
  checkGroupProtocol(table);
  checkSizesAndTimes(table);
  settleIdempotence(table);
  checkSecurity(table);
}
