import assert from "node:assert/strict";
import { test } from "node:test";
import { advise, backoff, codeOf } from "../advice.js";

test("the close table", () => {
  const table = { 1000: "done", 1001: "wait", 1006: "retry", 1009: "stop", 1011: "wait", 1012: "wait", 1013: "wait", 1014: "wait", 3000: "refresh", 3003: "stop", 3008: "retry", 4999: "retry" };
  for (const [code, advice] of Object.entries(table)) assert.equal(advise(Number(code)), advice, code);
});

test("an HTTP status has the advice of its close code", () => {
  const codes = [[undefined, 1006], [400, 3003], [401, 3000], [403, 3003], [404, 3003], [408, 3008], [425, 1013], [429, 1013], [500, 1013], [503, 1013]];
  for (const [status, code] of codes) assert.equal(codeOf(status), code, String(status));
});

test("the wait is random, up to a limit that doubles to at most half a minute", (t) => {
  const limits = (advice) => Array.from({ length: 40 }, (_, attempt) => Math.round(backoff(attempt, advice)));
  t.mock.method(Math, "random", () => 1);
  assert.deepEqual(limits("retry").slice(0, 7), [1000, 2000, 4000, 8000, 16000, 30000, 30000]);
  assert.deepEqual(limits("wait").slice(0, 4), [4000, 8000, 16000, 30000]);
  assert.equal(limits("retry").at(-1), 30000);
  Math.random.mock.mockImplementation(() => 0);
  assert.ok(limits("wait").every((ms) => ms === 0), "full jitter begins at nothing");
});
