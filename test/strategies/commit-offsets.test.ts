import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Commit } from "../../src/commit/commit.ts";
import { BrokerMessage } from "../../src/message/message.ts";
import { MetricName } from "../../src/metrics/names.ts";
import { CommitOffsets } from "../../src/strategies/commit-offsets.ts";
import { P0, P1, TestRuntime, at, attach, derived, filteredAt, noDeadline } from "./fixtures.ts";

function recorded(): { commits: string[]; commit: Commit } {
  const commits: string[] = [];
  return {
    commits,
    commit: (offsets, options) => {
      const pairs = [...offsets].map(([partition, offset]) => `${partition.index}:${offset}`);
      commits.push(`${pairs.join(", ")}${options?.force === true ? " forced" : ""}`);
    },
  };
}

describe("CommitOffsets", () => {
  it("commits each message that reaches it, filtered ones too", () => {
    const { commits, commit } = recorded();
    const step = new CommitOffsets(commit);
    step.submit(at("a", 4));
    step.submit(at("b", 5));
    step.submit(at("c", 9, P1));
    step.submit(filteredAt(6));
    step.submit(
      derived("d", [
        [P0, 20],
        [P1, 30],
      ]),
    );
    assert.deepEqual(commits, ["0:5", "0:6", "1:10", "0:7", "0:20, 1:30"]);
  });

  it("commits by force when it is joined", async () => {
    const { commits, commit } = recorded();
    const step = new CommitOffsets(commit);
    step.close();
    await step.join(noDeadline());
    assert.deepEqual(commits, [" forced"]);
  });

  it("notes the latency in seconds, at most once a second", () => {
    const runtime = new TestRuntime();
    const step = new CommitOffsets(() => {});
    attach(step, runtime);
    const submit = (ageMs: number): void => {
      step.poll();
      step.submit(new BrokerMessage("x", P0, 1, runtime.clock.nowMs() - ageMs));
    };
    submit(500);
    submit(9_000);
    runtime.clock.advance(999);
    submit(9_000);
    runtime.clock.advance(1);
    submit(250);
    assert.deepEqual(runtime.metrics.timings(MetricName.LATENCY), [0.5, 0.25]);
  });

  it("notes no latency for a message without a timestamp", () => {
    const runtime = new TestRuntime();
    const step = new CommitOffsets(() => {});
    attach(step, runtime);
    step.submit(derived("x", [[P0, 1]]));
    assert.deepEqual(runtime.metrics.calls, []);
  });
});
