/** Some keys and the one reason why they are refused. */
export interface UnsupportedSettings {
  readonly keys: readonly string[];
  /** What the message says after "... has no effect here: ". */
  readonly why: string;
}

/**
 * Keys that operators know from librdkafka or from Java and that do nothing here, with what to do instead. They are
 * refused: a setting that is silently ignored is worse than one that is missed at start.
 */
export const UNSUPPORTED_SETTINGS: readonly UnsupportedSettings[] = [
  {
    keys: ["queued.min.messages", "fetch.queue.backoff.ms"],
    why: 'prefetch is bounded by "queued.max.messages.kbytes" alone.',
  },
  {
    keys: ["fetch.error.backoff.ms", "topic.metadata.refresh.fast.interval.ms"],
    why: 'use "retry.backoff.ms" and "retry.backoff.max.ms".',
  },
  {
    keys: ["max.poll.records", "consume.callback.max.messages"],
    why: "the number of messages is chosen at each poll.",
  },
  {
    keys: ["transactional.id", "transaction.timeout.ms", "enable.gapless.guarantee"],
    why: "transactional producing is not part of this version.",
  },
  {
    keys: ["compression.level"],
    why: 'each compression of "compression.type" has one level.',
  },
  {
    keys: ["auto.commit.enable"],
    why: 'use "arroyo.enable.auto.commit".',
  },
  {
    keys: ["offset.store.method", "offset.store.path", "offset.store.sync.interval.ms"],
    why: "offsets are always kept by the brokers.",
  },
  {
    keys: ["group.protocol.type", "coordinator.query.interval.ms"],
    why: "the coordinator is looked up anew when it has moved; nothing is left to set.",
  },
  {
    keys: ["max.block.ms", "buffer.memory"],
    why: 'producing never blocks: it says that the queue is full, by "queue.buffering.max.messages" and "queue.buffering.max.kbytes".',
  },
  {
    keys: ["key.deserializer", "value.deserializer", "key.serializer", "value.serializer"],
    why: "keys and values are bytes: decode them in a strategy.",
  },
  {
    keys: ["default.api.timeout.ms"],
    why: 'use "socket.timeout.ms".',
  },
  {
    keys: ["max.request.size"],
    why: 'use "message.max.bytes".',
  },
  {
    keys: ["partitioner.class"],
    why: 'use "partitioner": "murmur2_random" is Java\'s.',
  },
  {
    keys: ["metadata.max.age.ms", "metadata.recovery.strategy", "metadata.recovery.rebootstrap.trigger.ms"],
    why: 'use "topic.metadata.refresh.interval.ms"; when no known broker answers, "bootstrap.servers" are asked again.',
  },
  {
    keys: [
      "ssl.keystore.location",
      "ssl.keystore.password",
      "ssl.keystore.type",
      "ssl.truststore.location",
      "ssl.truststore.password",
      "ssl.truststore.type",
    ],
    why: 'key stores are not read: use PEM with "ssl.certificate.location", "ssl.key.location" and "ssl.ca.location".',
  },
  {
    keys: ["sasl.jaas.config"],
    why: 'use "sasl.username" and "sasl.password".',
  },
  {
    keys: [
      "sasl.kerberos.service.name",
      "sasl.kerberos.principal",
      "sasl.kerberos.kinit.cmd",
      "sasl.kerberos.keytab",
      "sasl.kerberos.min.time.before.relogin",
    ],
    why: "Kerberos is not part of this version: use PLAIN, SCRAM or OAUTHBEARER.",
  },
  {
    keys: [
      "sasl.oauthbearer.method",
      "sasl.oauthbearer.client.id",
      "sasl.oauthbearer.client.secret",
      "sasl.oauthbearer.scope",
      "sasl.oauthbearer.extensions",
      "sasl.oauthbearer.token.endpoint.url",
      "enable.sasl.oauthbearer.unsecure.jwt",
      "sasl.login.callback.handler.class",
    ],
    why: 'get the token in "oauthbearer_token_refresh_cb".',
  },
  {
    keys: ["stats_cb"],
    why: 'give `onStatistics` beside the configuration, and set "statistics.interval.ms".',
  },
  {
    keys: ["enable.metrics.push", "interceptors", "plugin.library.paths"],
    why: "metrics go to the `Metrics` that the processor is given.",
  },
  {
    keys: ["debug", "log_level", "log_cb", "log.queue", "log.thread.name", "log.connection.close"],
    why: "set ARROYO_LOG=debug in the environment for debug lines.",
  },
  {
    keys: ["rebalance_cb", "offset_commit_cb", "consume_cb", "error_cb", "throttle_cb", "dr_cb", "dr_msg_cb"],
    why: "callbacks are given to `subscribe`, and each call tells its own outcome.",
  },
  {
    keys: ["delivery.report.only.error", "produce.offset.report", "queuing.strategy"],
    why: "each message's promise resolves with its partition and offset, in order.",
  },
  {
    keys: [
      "api.version.request",
      "api.version.request.timeout.ms",
      "api.version.fallback.ms",
      "broker.version.fallback",
    ],
    why: "the versions that a broker speaks are always asked for.",
  },
  {
    keys: ["connections.max.idle.ms"],
    why: "connections are kept while they are of use, and made anew when a broker has closed one.",
  },
  {
    keys: [
      "socket.nagle.disable",
      "socket.keepalive.enable",
      "socket.send.buffer.bytes",
      "socket.receive.buffer.bytes",
      "socket.max.fails",
      "socket.blocking.max.ms",
      "broker.address.ttl",
      "broker.address.family",
      "client.dns.lookup",
      "builtin.features",
      "message.copy.max.bytes",
      "topic.metadata.refresh.sparse",
      "topic.metadata.refresh.fast.cnt",
      "topic.metadata.propagation.max.ms",
      "topic.blacklist",
      "reconnect.backoff.jitter.ms",
      "enabled_events",
      "enable.random.seed",
      "internal.termination.signal",
      "queue.buffering.backpressure.threshold",
      "ssl.cipher.suites",
      "ssl.curves.list",
      "ssl.sigalgs.list",
      "ssl.crl.location",
      "ssl.providers",
      "ssl.engine.location",
      "ssl.engine.id",
      "ssl.ca.certificate.stores",
    ],
    why: "it tunes librdkafka's inner workings, which this client does not have. Leave it out.",
  },
];

const reasons: ReadonlyMap<string, string> = new Map(
  UNSUPPORTED_SETTINGS.flatMap(({ keys, why }) => keys.map((key) => [key, why] as const)),
);

/** Why a key that is known elsewhere does nothing here; undefined for a key that nobody knows. */
export function whyUnsupported(key: string): string | undefined {
  return reasons.get(key);
}
