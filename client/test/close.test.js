// Tests that close() is final whenever it is called, for example when React
// mounts a component twice.
import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { connect, Session } from "../wsauth.js";
import { fakeClock } from "./clock.js";
import { FakeLogin, FakeSocket, fakeBrowser, record, refusal } from "./fake.js";

const listened = [["window", "online"], ["window", "pageshow"], ["document", "visibilitychange"], ["login", "logout"], ["signal", "abort"]];

/**
 * Returns a new socket, and a function that checks that it leaves nothing
 * behind.
 */
function startSocket(t) {
  const clock = fakeClock(t);
  const targets = { ...fakeBrowser(t), login: new FakeLogin(), signal: new AbortController().signal };
  const { login } = targets;
  const socket = connect("/ws", login, { signal: targets.signal });
  const states = record(socket);
  const eventsAfterClose = [];
  for (const type of ["open", "message", "renewed"]) socket.addEventListener(type, () => socket.state === "closed" && eventsAfterClose.push(type));
  const assertGone = async () => {
    assert.equal(socket.state, "closed");
    assert.deepEqual(eventsAfterClose, [], "events after close");
    const [sockets, asked] = [FakeSocket.all.length, login.order.length];
    for (const one of FakeSocket.all) {
      one.welcome(); // the server has not received the close yet
      one.tell({ type: "chat" });
      one.end(1006);
    }
    await clock.settle();
    for (const [target, name] of listened) assert.deepEqual(getEventListeners(targets[target], name), [], `${target} ${name}`);
    assert.equal(clock.waiting, 0);
    targets.window.dispatchEvent(new Event("online"));
    login.dispatchEvent(new Event("logout"));
    socket.reconnect();
    await clock.go(3_600_000);
    assert.equal(FakeSocket.all.length, sockets);
    assert.equal(login.order.length, asked);
    assert.ok(FakeSocket.all.every((one) => one.closedBy), "each connection is closed");
    assert.deepEqual(eventsAfterClose, [], "events after close");
    const closed = states.findIndex(({ state, reason }) => state === "closed" && reason === "done");
    assert.equal(closed, states.length - 1, `${JSON.stringify(states)}: closed is the last state`);
    assert.deepEqual([states[closed].code, states[closed].reason], [1000, "done"]);
  };
  return { clock, ...targets, socket, states, assertGone };
}

test("close in the same tick: no request, no connection", async (t) => {
  const { login, socket, states, assertGone } = startSocket(t);
  socket.close();
  assert.equal(socket.state, "closed");
  await assertGone();
  assert.deepEqual(login.order, []);
  assert.equal(FakeSocket.all.length, 0);
  assert.deepEqual(states.map(({ state }) => state), ["closed"]);
});

test("mount, unmount, mount: one connection, which the second unmount closes", async (t) => {
  const { clock, login, socket, assertGone } = startSocket(t);
  socket.close();
  const second = connect("/ws", login);
  await clock.settle();
  assert.equal(FakeSocket.all.length, 1);
  FakeSocket.last.welcome();
  assert.equal(second.state, "open");
  second.close();
  assert.equal(FakeSocket.last.closedBy, 1000);
  await assertGone();
});

test("close at any moment of the first connection", async (t) => {
  for (let microtasks = 0; microtasks < 40; microtasks++) {
    await t.test(`after ${microtasks} microtasks`, async (t) => {
      const { socket, assertGone } = startSocket(t);
      for (let i = 0; i < microtasks; i++) await null;
      socket.close();
      await assertGone();
    });
  }
});

const stages = {
  handshake: () => {},
  "handshake done": () => FakeSocket.last.open(),
  open: () => FakeSocket.last.welcome(),
  waiting: () => FakeSocket.last.end(1006),
  stopped: () => FakeSocket.last.end(3003, "not_authorized"),
  "closed by the server": () => FakeSocket.last.end(1000),
};
for (const [stage, reach] of Object.entries(stages)) {
  test(`close while ${stage}`, async (t) => {
    const { clock, socket, assertGone } = startSocket(t);
    await clock.settle();
    reach();
    for (const one of FakeSocket.all) if (!["handshake", "handshake done", "open"].includes(stage)) one.closedBy = "the server";
    socket.close();
    await assertGone();
  });
}

test("close during a refresh, whose answer comes later", async (t) => {
  for (const answer of ["good", "refused"]) {
    await t.test(answer, async (t) => {
      const { clock, login, socket, assertGone } = startSocket(t);
      await clock.settle();
      FakeSocket.last.welcome();
      let give;
      login.refresh = () => new Promise((done, fail) => { give = answer === "good" ? done : () => fail(refusal(401)); });
      FakeSocket.last.end(3000, "token_expired");
      FakeSocket.last.closedBy = "the server";
      await clock.go(1_000);
      socket.close();
      give();
      await assertGone();
    });
  }
});

test("close in each event", async (t) => {
  const events = {
    "state connecting": (on) => on("state", "connecting"),
    "state open": (on) => on("state", "open"),
    "state waiting": (on) => on("state", "waiting"),
    open: (on) => on("open"),
    message: (on) => on("message"),
    renewed: (on) => on("renewed"),
    close: (on) => on("close"),
  };
  for (const [name, listen] of Object.entries(events)) {
    for (const welcomes of [true, false]) {
      await t.test(`${name}, ${welcomes ? "with" : "without"} a welcome`, async (t) => {
        const { clock, socket, assertGone } = startSocket(t);
        let called = 0;
        listen((type, state) => socket.addEventListener(type, (event) => {
          if (state !== undefined && event.state !== state) return;
          called++;
          socket.close();
        }));
        await clock.settle();
        if (FakeSocket.last) {
          if (welcomes) FakeSocket.last.welcome();
          else FakeSocket.last.open();
          FakeSocket.last.tell({ type: "chat" });
          FakeSocket.last.tell({ type: "renewed", expires_at: Date.now() / 1000 + 900 });
          if (name === "close" || name === "state waiting") {
            FakeSocket.last.end(1006);
            FakeSocket.last.closedBy = "the network";
          }
        }
        if (called > 0) await assertGone();
        else assert.ok(name === "renewed" && !welcomes, "it was closed");
      });
    }
  }
});

test("reconnect in the event close opens one connection", async (t) => {
  const { clock, socket, states } = startSocket(t);
  await clock.settle();
  FakeSocket.last.welcome();
  socket.addEventListener("close", () => socket.reconnect(), { once: true });
  FakeSocket.last.end(1012);
  await clock.settle();
  FakeSocket.last.welcome();
  await clock.go(60_000);
  assert.equal(FakeSocket.all.length, 2);
  assert.deepEqual(states.map(({ state }) => state), ["connecting", "open", "connecting", "open"]);
  socket.close();
});

test("send throws in the event close", async (t) => {
  const { clock, socket } = startSocket(t);
  await clock.settle();
  FakeSocket.last.welcome();
  let thrown;
  socket.addEventListener("close", () => {
    try {
      socket.send("late");
    } catch (error) {
      thrown = error;
    }
  });
  FakeSocket.last.end(1006);
  assert.equal(thrown?.name, "InvalidStateError");
  socket.close();
});

test("close with arguments that a WebSocket refuses throws, but still closes", async (t) => {
  const { clock, socket, states } = startSocket(t);
  await clock.settle();
  FakeSocket.last.welcome();
  const { close } = FakeSocket.prototype;
  t.mock.method(FakeSocket.prototype, "close", function (code) {
    if (code === 1001) throw new DOMException("invalid code", "InvalidAccessError");
    close.call(this, code);
  });
  assert.throws(() => socket.close(1001, "going away"), { name: "InvalidAccessError" });
  assert.equal(socket.state, "closed");
  assert.equal(FakeSocket.last.closedBy, 1005);
  assert.equal(states.at(-1).state, "closed");
  await clock.go(60_000);
  assert.equal(FakeSocket.all.length, 1);
});

test("the event close after close() has the code of the connection's end", async (t) => {
  const { clock, socket, states } = startSocket(t);
  await clock.settle();
  FakeSocket.last.welcome();
  const ends = [];
  socket.addEventListener("close", ({ code, reason, wasOpen, advice }) => ends.push([code, reason, wasOpen, advice]));
  FakeSocket.last.bufferedAmount = 7;
  socket.close();
  assert.equal(socket.bufferedAmount, 7, "what was sent before is still on its way");
  FakeSocket.last.end(3000, "session_ended");
  assert.deepEqual(ends, [[3000, "session_ended", true, "done"]]);
  assert.equal(states.at(-1).state, "closed");
  assert.equal(socket.bufferedAmount, 0);
});

test("the default login ends with its socket", async (t) => {
  const clock = fakeClock(t);
  fakeBrowser(t);
  const open = new Set();
  const channel = globalThis.BroadcastChannel;
  globalThis.BroadcastChannel = class extends EventTarget {
    constructor() {
      super();
      open.add(this);
    }
    close() {
      open.delete(this);
    }
  };
  t.after(() => { globalThis.BroadcastChannel = channel; });
  for (let i = 0; i < 3; i++) {
    const socket = connect("/ws");
    assert.equal(open.size, 1);
    socket.close();
    assert.equal(open.size, 0);
  }
  const session = new Session({ cookies: true });
  connect("/ws", session).close();
  assert.equal(open.size, 1, "a login passed by the page stays open");
  session.dispose();
  await clock.settle();
  assert.equal(FakeSocket.all.length, 0);
});
