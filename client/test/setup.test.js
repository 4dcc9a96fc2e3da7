// Tests that impossible settings cause an error at once.
import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, Session } from "../wsauth.js";
import { fakeClock } from "./clock.js";
import { FakeLogin, FakeSocket, fakeBrowser, record } from "./fake.js";

/** Removes a global until the test ends. */
function without(t, name) {
  const previous = Object.getOwnPropertyDescriptor(globalThis, name);
  delete globalThis[name];
  t.after(() => previous && Object.defineProperty(globalThis, name, previous));
}

test("connect without a WebSocket", (t) => {
  fakeBrowser(t);
  delete globalThis.WebSocket;
  assert.throws(() => connect("/ws", new FakeLogin()), { name: "TypeError", message: "connect needs WebSocket, which is not available here" });
  globalThis.WebSocket = undefined;
  assert.throws(() => connect("/ws"), TypeError);
});

test("connect leaves nothing behind if it throws", async (t) => {
  const clock = fakeClock(t);
  const { window } = fakeBrowser(t);
  const listening = t.mock.method(window, "addEventListener");
  const login = new FakeLogin();
  for (const url of ["ftp://app.example/ws", "http://", "javascript:alert(1)"]) assert.throws(() => connect(url, login), TypeError, url);
  await clock.go(60_000);
  assert.deepEqual(login.order, []);
  assert.equal(listening.mock.callCount(), 0);
  assert.equal(clock.waiting, 0);
});

test("a relative address without a page", (t) => {
  fakeBrowser(t);
  for (const href of [undefined, "about:blank", "blob:null/1"]) {
    Object.defineProperty(globalThis, "location", { value: href && { href }, configurable: true });
    assert.throws(() => connect("/ws", new FakeLogin()), { name: "TypeError", message: /"\/ws" cannot be resolved/ });
    connect("wss://app.example/ws", new FakeLogin()).close();
  }
  Object.defineProperty(globalThis, "location", { value: { href: "file:///home/page.html" }, configurable: true });
  assert.throws(() => connect("/ws", new FakeLogin()), { name: "TypeError", message: /begins with wss:/ });
});

test("addresses with all schemes for a WebSocket", async (t) => {
  const clock = fakeClock(t);
  fakeBrowser(t);
  for (const [url, want] of [
    ["/ws", "wss://app.example/ws?ticket=t"],
    ["ws?a=b", "wss://app.example/ws?a=b&ticket=t"],
    ["http://other.example/ws", "ws://other.example/ws?ticket=t"],
    ["ws://other.example/ws#part", "ws://other.example/ws?ticket=t"],
    [new URL("https://other.example/ws"), "wss://other.example/ws?ticket=t"],
    ["/100%", "wss://app.example/100%25?ticket=t"],
  ]) {
    const socket = connect(url, { ticket: () => "t", refresh: () => {} });
    await clock.settle();
    assert.equal(FakeSocket.last.url.href, want);
    socket.close();
  }
});

test("a login without the required functions", (t) => {
  fakeBrowser(t);
  for (const login of [{}, { ticket: () => "t" }, { refresh: () => {} }, { ticket: "t", refresh: () => {} }]) {
    assert.throws(() => connect("/ws", login), { name: "TypeError", message: /^The login of connect needs (refresh|ticket, admission or query), which is not available here$/ });
  }
});

test("a Session without a required part", async (t) => {
  for (const [name, message] of [["fetch", "Session needs fetch, which is not available here"], ["crypto", "Session needs crypto.getRandomValues, which is not available here"]]) {
    await t.test(name, (t) => {
      fakeBrowser(t);
      without(t, name);
      assert.throws(() => new Session(), { name: "TypeError", message });
    });
  }
  await t.test("AbortSignal.timeout", (t) => {
    fakeBrowser(t);
    const { timeout } = AbortSignal;
    AbortSignal.timeout = undefined;
    t.after(() => { AbortSignal.timeout = timeout; });
    assert.throws(() => new Session(), { name: "TypeError", message: "Session needs AbortSignal.timeout, which is not available here" });
  });
  await t.test("options.fetch is sufficient", (t) => {
    without(t, "fetch");
    new Session({ fetch: async () => new Response("{}") });
  });
  await t.test("a page", () => {
    assert.throws(() => new Session(), { name: "TypeError", message: 'Session needs an absolute URL outside of a page: "/auth" cannot be resolved' });
    new Session({ base: "https://app.example/auth" });
  });
});

test("a socket that the browser does not allow stops, and the console says why", async (t) => {
  const clock = fakeClock(t);
  fakeBrowser(t);
  const warn = t.mock.method(console, "warn", () => {});
  const cause = new DOMException("The subprotocol 'a b' is invalid", "SyntaxError");
  t.mock.method(FakeSocket.prototype, "born", () => {
    throw cause;
  });
  const login = new FakeLogin();
  const socket = connect("/ws", login, { protocols: ["a b"] });
  t.after(() => socket.close());
  const states = record(socket);
  await clock.go(600_000);
  assert.deepEqual(states.map(({ state, reason }) => [state, reason]), [["connecting", ""], ["stopped", "blocked"]]);
  assert.equal(login.tickets, 1);
  assert.equal(warn.mock.callCount(), 1);
  assert.ok(warn.mock.calls[0].arguments.includes(cause));
});

test("the query of a URL keeps its spelling", async (t) => {
  const clock = fakeClock(t);
  fakeBrowser(t);
  for (const [search, want] of [
    ["?q=a%20b", "?q=a%20b&ticket=t%2F%2B"],
    ["?q=a+b&c=~*!()&x;y", "?q=a+b&c=~*!()&x;y&ticket=t%2F%2B"],
    ["?flag", "?flag&ticket=t%2F%2B"],
    ["?a=&a=&=&", "?a=&a=&=&&ticket=t%2F%2B"],
    ["?%zz=%&q=日", "?%zz=%&q=%E6%97%A5&ticket=t%2F%2B"],
    ["?", "?ticket=t%2F%2B"],
    ["?ticket=mine&a=1&%74icket=x&ticket", "?a=1&ticket=t%2F%2B"],
  ]) {
    const socket = connect(`/ws${search}`, { ticket: () => "t/+", refresh: () => {} });
    await clock.settle();
    assert.equal(FakeSocket.last.url.search, want);
    socket.close();
  }
  const socket = connect("/ws?a=%20&room=0", { query: () => ({ room: "a b", "x&": "" }), refresh: () => {} });
  await clock.settle();
  assert.equal(FakeSocket.last.url.search, "?a=%20&room=a%20b&x%26=");
  socket.close();
});

test("a relative address is resolved as the page's links are", async (t) => {
  const clock = fakeClock(t);
  const { document } = fakeBrowser(t);
  document.baseURI = "https://app.example/shop/";
  for (const [url, want] of [["ws", "wss://app.example/shop/ws?ticket=t"], ["/ws", "wss://app.example/ws?ticket=t"], ["../ws", "wss://app.example/ws?ticket=t"]]) {
    const socket = connect(url, { ticket: () => "t", refresh: () => {} });
    await clock.settle();
    assert.equal(FakeSocket.last.url.href, want);
    socket.close();
  }
});

test("a base may end with a slash", async (t) => {
  fakeBrowser(t);
  const asked = [];
  const fetch = async (url) => asked.push(url) && new Response("{}", { status: 503 });
  for (const base of ["/app/auth/", "/app/auth", "/", "https://login.example/auth//"]) {
    const session = new Session({ base, fetch, cookies: true });
    await session.login("ann", "x").catch(() => {});
    session.dispose();
  }
  assert.deepEqual(asked, ["/app/auth/login", "/app/auth/login", "/login", "https://login.example/auth/login"]);
});
