import assert from "node:assert/strict";
import { test } from "node:test";
import { LeaderEpochs } from "../../../src/kafka/records/leader-epochs.ts";

test("the epoch of the record before an offset is told where it is known for certain", () => {
  const epochs = new LeaderEpochs(100, 3);
  epochs.note(100, 120, 3);
  epochs.note(125, 130, 5); // From 120 to 124 there was nothing to see: markers, of either epoch.
  epochs.note(130, 140, 5);
  assert.deepEqual(
    [99, 100, 101, 120, 121, 125, 126, 140, 141].map((offset) => epochs.before(offset)),
    [-1, 3, 3, 3, -1, -1, 5, 5, -1],
  );
  assert.equal(new LeaderEpochs(100, -1).before(100), -1);
});

test("where later epochs begin is told, as far as they were read", () => {
  const epochs = new LeaderEpochs(100, 3);
  epochs.note(100, 120, 3);
  epochs.note(120, 130, 5);
  assert.equal(epochs.endOf(2), 99);
  assert.equal(epochs.endOf(3), 120);
  assert.equal(epochs.endOf(4), 120);
  assert.equal(epochs.endOf(5), undefined);
});

test("what was read of a log that was cut is forgotten", () => {
  const epochs = new LeaderEpochs(100, 3);
  epochs.note(100, 120, 3);
  epochs.note(120, 130, 5);
  epochs.note(110, 112, 6);
  assert.deepEqual(
    [110, 111, 112, 120, 126].map((offset) => epochs.before(offset)),
    [3, 6, 6, -1, -1],
  );
  epochs.note(111, 115, 6);
  assert.equal(epochs.before(115), 6);
});

test("many changes of leaders take no more memory than a few", () => {
  const epochs = new LeaderEpochs(0, -1);
  for (let epoch = 0; epoch < 10_000; epoch += 1) epochs.note(epoch, epoch + 1, epoch);
  assert.equal(epochs.before(10_000), 9_999);
  assert.equal(epochs.before(5_000), -1);
  assert.equal(epochs.endOf(0), 10_000 - 64);
});
