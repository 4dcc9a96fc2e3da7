import assert from "node:assert/strict";
import { test } from "node:test";
import { connect } from "../wsauth.js";
import { fakeClock } from "./clock.js";
import { FakeLogin, FakeSocket, fakeBrowser, record } from "./fake.js";

/**
 * Returns a socket whose connection broke while the browser reports that it is
 * offline.
 */
async function broken(t) {
  const clock = fakeClock(t);
  const { window } = fakeBrowser(t);
  const had = Object.getOwnPropertyDescriptor(globalThis, "navigator");
  Object.defineProperty(globalThis, "navigator", { value: { onLine: false }, configurable: true });
  t.after(() => (had ? Object.defineProperty(globalThis, "navigator", had) : delete globalThis.navigator));
  const login = new FakeLogin();
  const socket = connect("/ws", login);
  const states = record(socket);
  t.after(() => socket.close());
  await clock.settle();
  FakeSocket.last.welcome(900);
  login.order.length = 0;
  FakeSocket.last.end(1006);
  assert.equal(socket.state, "waiting");
  return { clock, window, login, socket, states };
}

test("offline, it reconnects to a server that is reachable", async (t) => {
  for (const [random, wait] of [[0, 15_000], [1, 30_000]]) {
    await t.test(`${wait} ms`, async (t) => {
      t.mock.method(Math, "random", () => random);
      const { clock, login, socket, states } = await broken(t);
      assert.equal(states.at(-1).retryIn, wait);
      await clock.go(wait - 1);
      assert.deepEqual(login.order, []);
      await clock.go(1);
      assert.deepEqual(login.order, ["ticket"]);
      FakeSocket.last.welcome(900);
      assert.equal(socket.state, "open");
    });
  }
});

test("offline, its attempts are rare but continue, and the first wait back online is short", async (t) => {
  t.mock.method(Math, "random", () => 1);
  const { clock, login, states } = await broken(t);
  login.refuseTickets = Array.from({ length: 1000 }, () => new TypeError("network"));
  await clock.go(300_000);
  assert.equal(login.tickets, 1 + 10, "one attempt per half minute");
  globalThis.navigator.onLine = true;
  await clock.go(30_000);
  assert.equal(states.at(-1).retryIn, 1000);
});

test("pain 13: when the network is back, it refreshes and reconnects at once", async (t) => {
  const { clock, window, login } = await broken(t);
  globalThis.navigator.onLine = true;
  window.dispatchEvent(new Event("online"));
  await clock.settle();
  assert.deepEqual(login.order, ["refresh", "ticket"]);
});
