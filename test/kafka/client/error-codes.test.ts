import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ErrorCodes,
  errorName,
  isRetriable,
  needsCoordinatorLookup,
  needsMetadataRefresh,
} from "../../../src/kafka/client/error-codes.ts";

test("a code has its name, and one from the future has a number", () => {
  assert.equal(errorName(ErrorCodes.NOT_LEADER_OR_FOLLOWER), "NOT_LEADER_OR_FOLLOWER");
  assert.equal(errorName(-1), "UNKNOWN_SERVER_ERROR");
  assert.equal(errorName(999), "ERROR_999");
});

test("what passes by itself, with new metadata or with another coordinator is told apart from what stays", () => {
  assert.ok(
    isRetriable(ErrorCodes.NOT_LEADER_OR_FOLLOWER) && needsMetadataRefresh(ErrorCodes.NOT_LEADER_OR_FOLLOWER),
  );
  assert.ok(isRetriable(ErrorCodes.NOT_COORDINATOR) && needsCoordinatorLookup(ErrorCodes.NOT_COORDINATOR));
  assert.ok(isRetriable(ErrorCodes.REQUEST_TIMED_OUT) && !needsMetadataRefresh(ErrorCodes.REQUEST_TIMED_OUT));
  assert.ok(!isRetriable(ErrorCodes.TOPIC_AUTHORIZATION_FAILED));
  assert.ok(!isRetriable(ErrorCodes.UNKNOWN_MEMBER_ID));
  assert.ok(!isRetriable(ErrorCodes.NONE));
});
