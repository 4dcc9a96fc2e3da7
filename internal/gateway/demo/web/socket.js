import { connect } from "/auth/client/wsauth.js";
import { loginFor } from "./attempts.js";
import { explain, sessionOver } from "./closecodes.js";
import { $, append, duration, element } from "./dom.js";

/** The style and the name of each state of the client. */
const states = {
  connecting: ["checking", "Connecting"],
  open: ["open", "Open"],
  waiting: ["checking", "Reconnecting"],
  stopped: ["ended", "Ended"],
  loggedout: ["ended", "Logged out"],
  closed: ["none", "Ended"],
};

/**
 * The panel of the socket: its state, its remaining time, its messages and its
 * end. It shows one socket at a time.
 */
export class SocketPanel {
  /** @type {import("/auth/client/wsauth.js").AuthSocket|null} */
  #socket = null;
  #clock = 0;
  #openedAt = 0;
  #sessionOver = false; // the panel then shows this instead of the close event

  /**
   * @param {import("./timeline.js").Timeline} timeline
   * @param {{
   *   changed: () => void,
   *   welcomed: (claims: object) => void,
   *   askPassword: () => void,
   * }} page callbacks
   */
  constructor(timeline, page) {
    this.timeline = timeline;
    this.page = page;
    $("message-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    $("close-button").addEventListener("click", () => this.#socket?.close(1000, "done"));
    $("sensitive-button").addEventListener("click", () => {
      this.#say("You requested something sensitive.");
      this.#socket?.send('{"type":"step-up"}');
    });
    this.#controls(false);
  }

  /** Reports whether a socket is open. */
  get open() {
    return !this.#sessionOver && this.#socket?.state === "open";
  }

  /**
   * Opens a socket, or reopens the one that has ended.
   * @param {import("/auth/client/wsauth.js").Session} session
   * @param {string} attempt what to send with the handshake
   * @param {boolean} stay whether to renew and to reconnect
   */
  connect(session, attempt, stay) {
    this.#socket?.close();
    this.#sessionOver = false;
    stay &&= attempt === "good";
    $("end").hidden = true;
    $("messages").replaceChildren();
    const socket = connect("/ws", loginFor(session, attempt), { welcome: true, ...(stay ? {} : { renew: false, advise: () => "stop" }) });
    this.#socket = socket;
    const on = (type, listen) => socket.addEventListener(type, (event) => {
      if (socket === this.#socket) listen(event); // the close event of an older one may come late
    });
    on("state", (event) => this.#became(event));
    on("open", ({ claims }) => this.#welcomed(claims));
    on("message", ({ data }) => append($("messages"), element("li", "", data)));
    on("renewed", () => this.#renewed());
    on("close", (event) => this.#ended(event));
    on("fresh_required", () => {
      this.#say("The server requires your password first. The socket stays open.");
      this.timeline.add("The server asks for a fresh token", "", "the socket stays open");
      this.page.askPassword();
    });
    on("fresh_ok", () => {
      this.#say("The server has received a fresh token: done.");
      this.timeline.add("The server has received a fresh token", "good", "on the same socket");
    });
  }

  /** Closes the socket because the page uses another session now. */
  leave() {
    this.#socket?.close();
  }

  /**
   * Closes the socket because its session has ended. The server may or may not
   * have closed it already: the panel says the same in both cases, but shows
   * the server's reason if there is one.
   */
  loggedOut() {
    if (!["connecting", "open", "waiting"].includes(this.#socket?.state)) return;
    this.#sessionOver = true;
    this.#socket.close(1000, "logged_out");
    if ($("end").hidden) this.#explain("", "", sessionOver);
    this.#offer(["login"]);
    this.#show("loggedout");
    this.page.changed();
  }

  #became({ state, retryIn }) {
    if (this.#sessionOver) return;
    this.#show(state);
    if (state === "waiting") this.#countBack(retryIn);
    if (state === "connecting") $("end-auto").textContent = "Trying now…";
    if (state === "loggedout") this.#offer(["login"]);
    this.page.changed();
  }

  #show(state) {
    const [look, words] = states[state];
    $("socket-state").dataset.state = look;
    $("socket-state").textContent = words;
    $("open-button").hidden = ["connecting", "open", "waiting"].includes(state);
    $("close-button").hidden = !$("open-button").hidden;
    this.#controls(state === "open");
    if (state !== "open") clearInterval(this.#clock);
    $("expiry").hidden = state !== "open";
    $("end-auto").hidden = !["waiting", "connecting"].includes(state);
  }

  // The server accepts even a handshake that it refuses afterwards, because
  // browsers report a close code but not an HTTP status. Therefore only the
  // server's welcome, not the open event, means that the socket can be used.
  #welcomed(claims) {
    const until = new Date(this.#socket.expiresAt).toLocaleTimeString([], { hour12: false });
    $("end").hidden = true;
    this.#openedAt = Date.now();
    this.timeline.add("The socket is open", "good", `It stays open until ${until}, when the token expires.`);
    this.#say(`Welcome, ${claims.sub}. Your messages are echoed.`);
    if (document.activeElement === $("open-button") || document.activeElement === document.body) $("message").focus();
    this.#countDown();
    this.page.welcomed(claims);
  }

  #renewed() {
    const until = new Date(this.#socket.expiresAt).toLocaleTimeString([], { hour12: false });
    this.timeline.add("The socket was renewed", "good", `It stays open until ${until}, without a reconnect.`);
    this.#countDown();
    this.page.changed();
  }

  #send() {
    const text = $("message").value;
    if (!this.open || text === "") return;
    this.#socket.send(text);
    append($("messages"), element("li", "sent", text));
    $("message").value = "";
  }

  #say(text) {
    append($("messages"), element("li", "system", text));
  }

  #countDown() {
    clearInterval(this.#clock);
    const until = this.#socket.expiresAt;
    const lifetime = Math.max(1, (until - Date.now()) / 1000);
    $("expiry-bar").max = lifetime;
    const show = () => {
      const left = (until - Date.now()) / 1000;
      $("expiry-bar").value = Math.max(0, left);
      $("expiry-text").textContent = left > 0 ? `ends in ${duration(left)}` : "ending now";
      $("expiry").classList.toggle("soon", left < Math.min(60, lifetime / 4));
    };
    show();
    this.#clock = setInterval(show, 250);
  }

  #countBack(wait) {
    clearInterval(this.#clock);
    const at = Date.now() + wait;
    const show = () => {
      const left = duration((at - Date.now()) / 1000);
      $("end-auto").textContent = navigator.onLine
        ? `It reconnects in ${left}.`
        : `The browser is offline. It reconnects in ${left}, or as soon as the network is back.`;
    };
    show();
    this.#clock = setInterval(show, 250);
  }

  #ended({ code, reason, wasOpen }) {
    const welcomed = this.#openedAt > 0;
    const why = this.#sessionOver && code < 3000 ? sessionOver : explain(code, reason, wasOpen);
    this.#explain(String(code), reason, why);
    if (this.#sessionOver) this.#offer(["login"]);
    const lived = duration((Date.now() - this.#openedAt) / 1000);
    this.timeline.add(
      welcomed ? `The socket ended after ${lived}` : "The socket was refused",
      why.normal ? "" : "bad",
      [code, reason, why.title].filter(Boolean).join(" · "),
    );
    this.#openedAt = 0;
  }

  #explain(code, reason, why) {
    $("end").classList.toggle("normal", why.normal === true);
    $("end-code").textContent = code;
    $("end-reason").textContent = reason;
    $("end-title").textContent = why.title;
    $("end-meaning").textContent = why.meaning;
    $("end-advice").textContent = why.advice;
    this.#offer(why.actions);
    $("end").hidden = false;
  }

  #offer(actions) {
    for (const action of ["refresh", "login", "reconnect"]) $(`end-${action}`).hidden = !actions.includes(action);
  }

  #controls(on) {
    for (const id of ["message", "send-button", "sensitive-button"]) $(id).disabled = !on;
    $("message").placeholder = on ? "Type a message" : "Open the socket first";
  }
}
