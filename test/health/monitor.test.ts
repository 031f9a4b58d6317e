import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { Vitals } from "../../src/backend/vitals.ts";
import { ConfigurationError } from "../../src/errors.ts";
import { HealthMonitor, type HealthCheck } from "../../src/health/monitor.ts";
import { resolveRules, type HealthRules } from "../../src/health/rules.ts";
import { MockClock } from "../../src/testing/index.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

let clock: MockClock;
let vitals: Vitals;
let monitor: HealthMonitor;

function monitored(rules: HealthRules = {}): void {
  monitor = new HealthMonitor(vitals, resolveRules(rules), clock);
}

/** Time goes by in steps of a second; in each, everything that is given happens. */
function passes(milliseconds: number, ...signs: readonly ("polls" | "answers")[]): void {
  for (let leftMs = milliseconds; leftMs > 0; leftMs -= SECOND) {
    clock.advance(Math.min(SECOND, leftMs));
    if (signs.includes("polls")) vitals.polled();
    if (signs.includes("answers")) vitals.answered();
    monitor.sample();
  }
}

function check(name: HealthCheck["name"]): HealthCheck {
  return monitor.checks().find((one) => one.name === name)!;
}

function state(): string {
  const { alive, ready } = monitor.health();
  return ready ? "ready" : alive ? "alive" : "dead";
}

/** A member of a group that has partitions and whose coordinator answers. */
beforeEach(() => {
  clock = new MockClock();
  vitals = new Vitals();
  vitals.expectAnswers();
  vitals.phase = "running";
  vitals.member = "member";
  vitals.partitions = 2;
  vitals.answered();
});

describe("alive", () => {
  it("as long as the main thread polls, on a quiet topic for five minutes and for a day", () => {
    monitored();
    for (const milliseconds of [5 * MINUTE, 24 * 60 * MINUTE]) {
      passes(milliseconds, "polls", "answers");
      assert.equal(state(), "ready");
    }
    assert.equal(
      check("polling").since,
      new Date(clock.nowMs() - 24 * 60 * MINUTE - 5 * MINUTE).toISOString(),
    );
  });

  it("until the main thread has not polled for longer than max.poll.interval.ms, and says for how long", () => {
    vitals.maxPollIntervalMs = 10 * SECOND;
    monitored();
    passes(10 * SECOND, "answers");
    assert.equal(state(), "ready");
    passes(2_500, "answers");
    assert.equal(state(), "dead");
    assert.equal(check("polling").why, "the main thread has not polled for 12.5 s, more than 10 s");
    vitals.polled();
    assert.equal(state(), "ready");
  });

  it("within five minutes where the consumer has no limit, and within a limit that was given", () => {
    monitored();
    passes(5 * MINUTE, "answers");
    assert.equal(state(), "ready");
    passes(SECOND, "answers");
    assert.equal(state(), "dead");
    monitored({ pollTimeoutMs: 2 * SECOND });
    passes(3 * SECOND, "answers");
    assert.equal(state(), "dead");
  });

  it("not when it has left the group because it did not poll, from then until it polls again", () => {
    monitored();
    passes(SECOND, "answers");
    vitals.member = "expelled";
    assert.equal(state(), "dead");
    assert.match(check("membership").why, /has left the group because the main thread had not polled/);
    vitals.polled();
    assert.equal(state(), "ready", "it is as in a rebalance");
    assert.match(check("membership").why, /tries to get back in/);
  });

  it("not when it was thrown out and does not get back in although the coordinator answers", () => {
    monitored({ graceMs: MINUTE, rejoinTimeoutMs: 10 * MINUTE });
    vitals.member = "lost";
    vitals.partitions = 0;
    monitor.sample();
    passes(10 * MINUTE, "polls", "answers");
    assert.equal(state(), "alive");
    passes(SECOND, "polls", "answers");
    assert.equal(state(), "dead");
    assert.equal(
      check("membership").why,
      "the member was thrown out of the group 601 s ago and does not get back in",
    );
    vitals.member = "member";
    assert.equal(state(), "alive");
    vitals.partitions = 1;
    assert.equal(state(), "ready");
  });

  it("when it was thrown out and the brokers are down; and then it has its time to get back in", () => {
    monitored({ graceMs: MINUTE, rejoinTimeoutMs: 10 * MINUTE });
    vitals.member = "lost";
    vitals.partitions = 0;
    passes(60 * MINUTE, "polls");
    assert.equal(state(), "alive");
    passes(10 * MINUTE, "polls", "answers");
    assert.equal(state(), "alive");
    passes(2 * SECOND, "polls", "answers");
    assert.equal(state(), "dead");
  });

  it("not when the consumer or the processor has failed, however well it polls", () => {
    monitored();
    vitals.member = "failed";
    vitals.polled();
    assert.equal(state(), "dead");
    vitals.member = "member";
    assert.equal(state(), "ready");
    vitals.phase = "failed";
    assert.equal(state(), "dead");
  });
});

describe("ready", () => {
  it("not before the first assignment, then also without one for as long as the grace", () => {
    vitals.member = "joining";
    vitals.partitions = 0;
    monitored({ graceMs: MINUTE });
    assert.equal(state(), "alive");
    assert.equal(check("assignment").why, "it has had no partition yet");
    vitals.member = "member";
    vitals.partitions = 1;
    assert.equal(state(), "ready");
    assert.equal(check("assignment").why, "it has 1 partition");
    vitals.partitions = 0;
    monitor.sample();
    passes(MINUTE, "polls", "answers");
    assert.equal(state(), "ready");
    passes(2 * SECOND, "polls", "answers");
    assert.equal(state(), "alive");
    assert.equal(check("assignment").why, "it has had no partition for 62 s");
  });

  it("on standby only if that is allowed", () => {
    vitals.partitions = 0;
    monitored();
    assert.equal(state(), "alive");
    monitored({ allowStandby: true });
    assert.equal(state(), "ready");
    vitals.member = "lost";
    passes(2 * MINUTE, "polls", "answers");
    assert.equal(state(), "alive");
  });

  it("for as long as the grace without an answer of the coordinator", () => {
    monitored({ graceMs: MINUTE });
    passes(MINUTE, "polls");
    assert.equal(state(), "ready");
    passes(5 * MINUTE, "polls");
    assert.equal(state(), "alive");
    assert.equal(check("coordinator").why, "the group's coordinator has not answered for 360 s");
    vitals.answered();
    assert.equal(state(), "ready");
  });

  it("without any coordinator where there is none, as on an embedded broker", () => {
    vitals = new Vitals();
    vitals.partitions = 1;
    monitored({ graceMs: MINUTE });
    passes(5 * MINUTE, "polls");
    assert.equal(state(), "ready");
  });

  it("not from the moment that a shutdown is signalled, and alive until the end", () => {
    monitored();
    vitals.phase = "stopping";
    assert.equal(state(), "alive");
    assert.equal(check("shutdown").why, "it shuts down");
    vitals.member = "left";
    vitals.partitions = 0;
    vitals.phase = "ended";
    assert.equal(state(), "alive");
  });

  it("with a lag above the limit only while it gets less", () => {
    monitored({ lag: { messages: 100, notShrinkingForMs: MINUTE } });
    const passesWithLag = (milliseconds: number, change: number): void => {
      for (let leftMs = milliseconds; leftMs > 0; leftMs -= SECOND) {
        vitals.lag = (vitals.lag ?? 0) + change;
        passes(SECOND, "polls", "answers");
      }
    };
    passes(5 * MINUTE, "polls", "answers");
    assert.equal(check("lag").why, "the lag is not known");
    vitals.lag = 10_000;
    passesWithLag(5 * MINUTE, -1);
    assert.equal(state(), "ready", "it shrinks");
    passesWithLag(30 * SECOND, 20);
    assert.equal(state(), "ready", "it has not grown for long");
    passesWithLag(MINUTE, 20);
    assert.equal(state(), "alive");
    assert.equal(check("lag").why, "the lag is 11,500 messages and has not got less for 60 s");
    passesWithLag(MINUTE + SECOND, -1);
    assert.equal(state(), "ready");
    passesWithLag(2 * MINUTE, 0);
    assert.equal(state(), "alive");
    vitals.lag = 100;
    assert.equal(state(), "ready", "it is at the limit");
    vitals.lag = 101;
    passes(SECOND, "polls", "answers");
    assert.equal(state(), "ready", "the time starts anew");
  });
});

describe("each check", () => {
  it("says since when it has been what it is", () => {
    monitored({ graceMs: MINUTE });
    const startedAt = new Date(clock.nowMs()).toISOString();
    passes(2 * MINUTE, "polls");
    assert.equal(check("polling").since, startedAt);
    assert.equal(check("coordinator").since, new Date(clock.nowMs() - MINUTE + SECOND).toISOString());
  });
});

describe("rules", () => {
  it("refuses what is no time or no number", () => {
    for (const rules of [
      { pollTimeoutMs: 0 },
      { graceMs: -1 },
      { rejoinTimeoutMs: NaN },
      { lag: { messages: -1, notShrinkingForMs: 1 } },
      { lag: { messages: 1, notShrinkingForMs: 0 } },
    ]) {
      assert.throws(() => resolveRules(rules), ConfigurationError);
    }
  });
});
