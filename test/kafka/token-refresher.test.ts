import assert from "node:assert/strict";
import { test } from "node:test";
import { MessageChannel } from "node:worker_threads";
import type { Logger } from "../../src/logger.ts";
import { Backoff } from "../../src/kafka/client/backoff.ts";
import { Tokens } from "../../src/kafka/client/tokens.ts";
import type { OAuthBearerTokenRefresh } from "../../src/kafka/oauthbearer.ts";
import { TokenRefresher } from "../../src/kafka/token-refresher.ts";
import { MockClock } from "../../src/testing/mock-clock.ts";

/** Both ends of the way that tokens take, in one thread. */
class TokenWay implements Disposable {
  readonly clock: MockClock = new MockClock();
  readonly tokens: Tokens;
  readonly lines: string[] = [];
  readonly #refresher: TokenRefresher;
  readonly #keepAlive = setInterval(() => {}, 2 ** 30);
  #logged = (): void => {};

  constructor(refresh: OAuthBearerTokenRefresh) {
    const { port1, port2 } = new MessageChannel();
    this.tokens = new Tokens(port2, this.clock);
    const log =
      (level: string) =>
      (fields: object, message: string): void => {
        this.lines.push(`${level}: ${message} ${String((fields as { err?: unknown }).err)}`);
        this.#logged();
      };
    const logger: Logger = { debug: () => {}, info: () => {}, warn: log("warn"), error: log("error") };
    const backoff = new Backoff({ initialMs: 1_000, maxMs: 10_000, jitter: 0 });
    const { clock } = this;
    this.#refresher = new TokenRefresher({
      refresh,
      argument: "own text",
      port: port1,
      logger,
      clock,
      backoff,
    });
  }

  logged(): Promise<void> {
    return new Promise((resolve) => (this.#logged = resolve));
  }

  [Symbol.dispose](): void {
    this.#refresher.close();
    clearInterval(this.#keepAlive);
  }
}

test("a token is got ahead of time, and the newest is the one that is used", async () => {
  let calls = 0;
  let called = Promise.withResolvers<void>();
  using way: TokenWay = new TokenWay((argument) => {
    assert.equal(argument, "own text");
    calls += 1;
    called.resolve();
    return { tokenValue: `token${calls}`, lifetime: way.clock.nowMs() + 100_000 };
  });
  assert.equal((await way.tokens.get(1_000)).tokenValue, "token1");
  called = Promise.withResolvers<void>();
  way.clock.advance(79_999);
  assert.equal((await way.tokens.get(1_000)).tokenValue, "token1");
  assert.equal(calls, 1);
  way.clock.advance(1);
  await called.promise;
  // The first has expired by then: only a newer one is given out.
  way.clock.advance(20_000);
  assert.equal((await way.tokens.get(1_000)).tokenValue, "token2");
});

test("a callback that fails is called again, told as a warning while there is a token and as an error when there is none", async () => {
  let isWell = true;
  using way: TokenWay = new TokenWay(() => {
    if (!isWell) throw new Error("the identity provider is down");
    return { tokenValue: "good", lifetime: way.clock.nowMs() + 10_000 };
  });
  await way.tokens.get(1_000);
  isWell = false;
  let logged = way.logged();
  way.clock.advance(8_000);
  await logged;
  assert.match(way.lines.at(-1)!, /^warn: .*before the token expires.*provider is down/);
  assert.equal((await way.tokens.get(1_000)).tokenValue, "good");

  logged = way.logged();
  way.clock.advance(2_000);
  await logged;
  assert.match(way.lines.at(-1)!, /^error: .*there is no valid token.*provider is down/);
  const none = way.tokens.get(500);
  // The message about the failure has come before the wait is over.
  await new Promise((resolve) => setImmediate(resolve));
  way.clock.advance(500);
  await assert.rejects(none, (error: unknown) => {
    assert.equal((error as { code?: unknown }).code, "ARROYO_AUTHENTICATION");
    assert.match((error as Error).message, /no valid token within 500 ms: the identity provider is down/);
    return true;
  });

  isWell = true;
  const again = way.tokens.get(60_000);
  way.clock.advance(4_000);
  assert.equal((await again).tokenValue, "good");
});

test("what the callback gives and is no token is told with what is wrong, never with the token", async (t) => {
  const good = { tokenValue: "hunter2", lifetime: Number.MAX_SAFE_INTEGER };
  for (const [given, message] of [
    [undefined, /gave no token/],
    ["hunter2", /gave no token/],
    [{ ...good, tokenValue: "hunter2 and\u0001more" }, /"tokenValue" that is no token/],
    [{ ...good, tokenValue: "" }, /"tokenValue" that is no token/],
    [{ tokenValue: "hunter2" }, /no "lifetime"/],
    [{ ...good, lifetime: 3_600 }, /expired at 3600.*milliseconds since the epoch/],
    [{ ...good, extensions: { auth: "x" } }, /extension whose name/],
    [{ ...good, extensions: { tenant: "a\u0001b" } }, /extension "tenant"/],
  ] as const) {
    await t.test(String(message), async () => {
      using way = new TokenWay(() => given as never);
      await way.logged();
      assert.match(way.lines[0]!, message);
      assert.ok(!way.lines.join().includes("hunter2"));
    });
  }
});

test("a callback that never settles is given up after half a minute, and called again", async () => {
  let calls = 0;
  const second = Promise.withResolvers<void>();
  using way: TokenWay = new TokenWay(() => {
    calls += 1;
    if (calls === 2) second.resolve();
    return calls === 1
      ? new Promise<never>(() => {})
      : { tokenValue: "late", lifetime: way.clock.nowMs() + 10_000 };
  });
  const token = way.tokens.get(120_000);
  await Promise.resolve();
  const logged = way.logged();
  way.clock.advance(30_000);
  await logged;
  assert.match(way.lines[0]!, /it has not settled within 30000 ms/);
  way.clock.advance(1_000);
  await second.promise;
  assert.equal((await token).tokenValue, "late");
});

test("a token that a broker refuses is replaced before its time is over", async () => {
  let calls = 0;
  const second = Promise.withResolvers<void>();
  using way: TokenWay = new TokenWay(() => {
    calls += 1;
    if (calls === 2) second.resolve();
    return { tokenValue: `token${calls}`, lifetime: way.clock.nowMs() + 3_600_000 };
  });
  const first = await way.tokens.get(1_000);
  way.tokens.refused(first);
  while (calls < 2) {
    way.clock.advance(100);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await second.promise;
});
