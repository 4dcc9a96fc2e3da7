import { explain } from "./closecodes.js";
import { element } from "./dom.js";

let current = null;

/**
 * Opens the socket with the query of the form. Shows its messages and its end
 * in place.
 */
export function converse(form, place) {
  current?.close(1000);
  const url = new URL("/ws", location.href);
  url.protocol = url.protocol.replace("http", "ws");
  for (const field of form.elements) {
    if (field.dataset.in === "query" && field.value) url.searchParams.set(field.name, field.value);
  }
  const head = element("div", "result-head");
  const state = element("b", "", "Connecting");
  head.append(state);
  const log = element("pre");
  place.replaceChildren(head, log);
  place.hidden = false;

  const socket = new WebSocket(url);
  current = socket;
  const line = (mark, text) => log.append(`${mark} ${text}\n`);
  let opened = false;
  socket.addEventListener("open", () => {
    opened = true;
    state.textContent = "101 Switching Protocols";
    socket.send("Hello from the API page");
  });
  socket.addEventListener("message", (event) => line("←", event.data));
  socket.addEventListener("close", (event) => {
    const why = explain(event.code, event.reason, opened);
    state.className = why.normal ? "" : "bad";
    state.textContent = `Closed ${event.code} ${event.reason}`;
    line("×", `${why.title}. ${why.meaning} ${why.advice}`);
  });
}
