// Tests a React component that opens a socket in an effect, in StrictMode:
// React mounts it, unmounts it and mounts it again.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Window } from "happy-dom";
import { connect } from "../wsauth.js";
import { FakeLogin, FakeSocket } from "./fake.js";

const page = new Window({ url: "https://app.example/page" });
const globals = { window: page, document: page.document, navigator: page.navigator, location: page.location, WebSocket: FakeSocket, IS_REACT_ACT_ENVIRONMENT: true };
for (const [name, value] of Object.entries(globals)) Object.defineProperty(globalThis, name, { value, configurable: true });
const { createElement, StrictMode, useEffect, useState, act } = await import("react");
const { createRoot } = await import("react-dom/client");

const isOpen = (socket) => socket.closedBy === undefined;

/** Renders a component in StrictMode, and returns a function to unmount it. */
async function mount(component) {
  const root = createRoot(page.document.createElement("div"));
  await act(async () => root.render(createElement(StrictMode, null, createElement(component))));
  return () => act(async () => root.unmount());
}

test("one connection, and none after the component is unmounted", async () => {
  FakeSocket.all = [];
  const login = new FakeLogin();
  const sockets = [];
  let shown;
  const Chat = () => {
    const [state, setState] = useState("");
    shown = state;
    useEffect(() => {
      const socket = connect("/ws", login);
      sockets.push(socket);
      socket.addEventListener("state", (event) => setState(event.state));
      return () => socket.close();
    }, []);
    return null;
  };
  const unmount = await mount(Chat);
  assert.equal(sockets.length, 2, "React has mounted it twice");
  assert.deepEqual([FakeSocket.all.length, login.tickets], [1, 1]);
  await act(async () => FakeSocket.last.welcome());
  assert.equal(shown, "open");
  await unmount();
  assert.deepEqual(FakeSocket.all.filter(isOpen), []);
  assert.deepEqual(sockets.map(({ state }) => state), ["closed", "closed"]);
});

test("an AbortSignal does the same", async () => {
  FakeSocket.all = [];
  const login = new FakeLogin();
  const Chat = () => {
    useEffect(() => {
      const controller = new AbortController();
      connect("/ws", login, { signal: controller.signal });
      return () => controller.abort();
    }, []);
    return null;
  };
  const unmount = await mount(Chat);
  assert.deepEqual([FakeSocket.all.length, login.tickets], [1, 1]);
  await unmount();
  assert.deepEqual(FakeSocket.all.filter(isOpen), []);
});
