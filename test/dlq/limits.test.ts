import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DlqLimitState } from "../../src/dlq/limits.ts";
import { DlqLimit, DlqPolicy } from "../../src/dlq/policy.ts";
import { NoopDlqProducer } from "../../src/dlq/producer.ts";
import { ConfigurationError } from "../../src/errors.ts";
import { P0, P1 } from "../strategies/fixtures.ts";

describe("DlqLimit", () => {
  it("lets so many invalid messages in a row pass, per partition", () => {
    const state = new DlqLimitState(new DlqLimit({ maxConsecutiveCount: 3 }));
    state.start(P0, 10);
    state.start(P1, 0);
    for (const offset of [11, 12, 13]) assert.equal(state.record(P0, offset), undefined);
    assert.equal(state.record(P1, 0), undefined);
    assert.match(state.record(P0, 14)!, /4 invalid messages in a row .* maxConsecutiveCount 3/);
  });

  it("counts anew after a valid message, which is told by the gap", () => {
    const state = new DlqLimitState(new DlqLimit({ maxConsecutiveCount: 2 }));
    state.start(P0, 0);
    for (const offset of [0, 1, 3, 4, 6, 7]) assert.equal(state.record(P0, offset), undefined);
    assert.notEqual(state.record(P0, 8), undefined);
  });

  it("lets so many invalid messages pass for each valid one", () => {
    const state = new DlqLimitState(new DlqLimit({ maxInvalidRatio: 0.5 }));
    state.start(P0, 100);
    assert.equal(state.record(P0, 102), undefined, "1 of 2 valid");
    assert.equal(state.record(P0, 105), undefined, "2 of 4 valid");
    assert.match(state.record(P0, 106)!, /3 invalid and 4 valid messages .* maxInvalidRatio 0.5/);
  });

  it("lets no invalid message pass by ratio before there was a valid one", () => {
    const state = new DlqLimitState(new DlqLimit({ maxInvalidRatio: 0.9 }));
    state.start(P0, 5);
    assert.notEqual(state.record(P0, 5), undefined);
  });

  it("starts anew with an assignment", () => {
    const state = new DlqLimitState(new DlqLimit({ maxConsecutiveCount: 1 }));
    state.start(P0, 0);
    assert.equal(state.record(P0, 0), undefined);
    state.start(P0, 1);
    assert.equal(state.record(P0, 1), undefined);
    assert.notEqual(state.record(P0, 2), undefined);
  });

  it("counts one that comes out of order as invalid, and as nothing else", () => {
    const state = new DlqLimitState(new DlqLimit({ maxInvalidRatio: 1, maxConsecutiveCount: 1 }));
    state.start(P0, 0);
    assert.equal(state.record(P0, 5), undefined);
    assert.equal(state.record(P0, 3), undefined);
    assert.equal(state.record(P0, 7), undefined);
  });

  it("limits nothing by default", () => {
    const state = new DlqLimitState(new DlqLimit());
    for (let offset = 0; offset < 1_000; offset++) assert.equal(state.record(P0, offset), undefined);
  });
});

describe("DlqPolicy", () => {
  it("checks its numbers", () => {
    const producer = new NoopDlqProducer();
    assert.throws(() => new DlqLimit({ maxInvalidRatio: -0.1 }), ConfigurationError);
    assert.throws(() => new DlqLimit({ maxConsecutiveCount: 1.5 }), {
      message: /maxConsecutiveCount is 1.5/,
    });
    assert.throws(() => new DlqPolicy({ producer, maxInFlight: 0 }), { message: /maxInFlight is 0/ });
    assert.throws(() => new DlqPolicy({ producer, maxAgeMs: NaN }), { message: /maxAgeMs is NaN/ });
    for (const name of ["maxBufferedMessagesPerPartition", "maxBufferedBytesPerPartition"] as const) {
      assert.throws(() => new DlqPolicy({ producer, [name]: -1 }), { message: new RegExp(`${name} is -1`) });
    }
    assert.equal(new DlqPolicy({ producer }).maxInFlight, 2_000);
  });
});
