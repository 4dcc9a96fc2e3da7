import { explain } from "./closecodes.js";
import { $, append, duration, element } from "./dom.js";

/** The panel of the socket: its state, its time, its messages and its end. It shows one socket at a time. */
export class SocketPanel {
  #socket = null;
  #opened = false;
  #welcomed = false;
  #clock = 0;

  /**
   * @param {import("./timeline.js").Timeline} timeline
   * @param {(claims: object) => void} welcomed called with the claims that the server read in the token
   */
  constructor(timeline, welcomed) {
    this.timeline = timeline;
    this.welcomed = welcomed;
    $("message-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    $("close-button").addEventListener("click", () => this.#socket?.close(1000, "done"));
    this.#controls(false);
  }

  /** Whether a socket is open or being opened. */
  get busy() {
    return this.#socket !== null;
  }

  /** Opens a socket at url. */
  open(url) {
    $("end").hidden = true;
    $("messages").replaceChildren();
    this.#state("checking", "Asking…");
    this.timeline.add("Asked for the socket", "", handshake(url));
    const began = performance.now();
    const socket = new WebSocket(url);
    this.#socket = socket;
    this.#opened = false;
    socket.addEventListener("open", () => {
      this.#opened = true;
    });
    socket.addEventListener("message", (event) => this.#receive(event.data));
    socket.addEventListener("close", (event) => this.#ended(event, (performance.now() - began) / 1000));
    $("open-button").hidden = true;
    $("close-button").hidden = false;
  }

  // The server accepts a handshake that it will refuse, because a browser shows a close code and hides an HTTP status. So it
  // is the server's welcome, not the open event, that says the socket may be used.
  #receive(data) {
    const welcome = this.#welcomed ? null : parseWelcome(data);
    if (!welcome) {
      append($("messages"), element("li", "", data));
      return;
    }
    this.#welcomed = true;
    this.#state("open", "Open");
    this.timeline.add("The socket is open", "good", `It may stay until ${new Date(welcome.expires_at * 1000).toLocaleTimeString([], { hour12: false })}, when the token expires.`);
    append($("messages"), element("li", "system", `Welcome, ${welcome.claims.sub}. What you send comes back.`));
    this.#controls(true);
    $("message").focus();
    this.#countDown(welcome.expires_at, welcome.expires_at - (welcome.claims.iat ?? Date.now() / 1000));
    this.welcomed(welcome.claims);
  }

  #send() {
    const text = $("message").value;
    if (this.#socket?.readyState !== WebSocket.OPEN || text === "") return;
    this.#socket.send(text);
    append($("messages"), element("li", "sent", text));
    $("message").value = "";
  }

  #countDown(until, lifetime) {
    const bar = $("expiry-bar");
    bar.max = lifetime;
    const show = () => {
      const left = until - Date.now() / 1000;
      bar.value = Math.max(0, left);
      $("expiry-text").textContent = left > 0 ? `ends in ${duration(left)}` : "ending now";
      $("expiry").classList.toggle("soon", left < Math.min(60, lifetime / 4));
    };
    show();
    this.#clock = setInterval(show, 250);
    $("expiry").hidden = false;
  }

  #ended(event, seconds) {
    const welcomed = this.#welcomed;
    this.#welcomed = false;
    clearInterval(this.#clock);
    this.#socket = null;
    this.#controls(false);
    $("expiry").hidden = true;
    $("open-button").hidden = false;
    $("close-button").hidden = true;

    const why = explain(event.code, event.reason, this.#opened);
    this.#state(why.calm ? "none" : "ended", welcomed ? "Ended" : "Refused");
    $("end").classList.toggle("calm", why.calm === true);
    $("end-code").textContent = String(event.code);
    $("end-reason").textContent = event.reason;
    $("end-title").textContent = why.title;
    $("end-meaning").textContent = why.meaning;
    $("end-advice").textContent = why.advice;
    for (const action of ["refresh", "login", "reconnect"]) $(`end-${action}`).hidden = !why.actions.includes(action);
    $("end").hidden = false;
    this.timeline.add(
      welcomed ? `The socket ended after ${duration(seconds)}` : "The socket was refused",
      why.calm ? "" : "bad",
      [event.code, event.reason, why.title].filter(Boolean).join(" · "),
    );
  }

  #state(state, text) {
    $("socket-state").dataset.state = state;
    $("socket-state").textContent = text;
  }

  #controls(on) {
    $("message").disabled = !on;
    $("send-button").disabled = !on;
    $("message").placeholder = on ? "Say something" : "Open the socket first";
  }
}

/** The handshake as it may be shown: without the credential. */
function handshake(url) {
  const names = [...url.searchParams.keys()].map((name) => `${name}=…`).join("&");
  return `GET ${url.pathname}${names && `?${names}`}`;
}

/** The welcome that data is, or null. */
function parseWelcome(data) {
  try {
    const message = JSON.parse(data);
    return message?.type === "welcome" ? message : null;
  } catch {
    return null;
  }
}
