// A WebSocket that stays open for as long as the person is logged in, and says why when it ends. See README.md.
import { advise, askedWait, backoff, codeOf, offlineWait } from "./advice.js";
import { Lease } from "./lease.js";
import { endsLogin, Refusal, Session } from "./session.js";

export { advise, backoff, codeOf, Refusal, Session };

/**
 * What a socket needs of a login: a {@link Session}, or functions of your own. They throw an error whose `status` is the HTTP
 * status of a refusal; an error without one is a network that failed, and is tried again. So is one that is `foreign`: something
 * on the way answered instead of the server.
 * @typedef {object} Login
 * @property {(path: string) => Promise<string|Admission>|string|Admission} [ticket] a ticket for one socket at that path
 * @property {(path: string) => Promise<Admission>|Admission} [admission] the same, and whose it is; it is asked instead of ticket
 * @property {(path: string) => Promise<Record<string, string>>|Record<string, string>} [query] instead of a ticket: the
 *   parameters that open one socket at that path
 * @property {() => Promise<void>} refresh renews the login, and with it the sockets that are open
 * @property {boolean} [over] there is no login, so nothing need be asked
 * @property {number} [expiresAt] when the access token expires, in milliseconds since 1970
 */

/**
 * A ticket, and the user whom the socket will be of: what the server says, such
 * as the sub of the token. Without it, only a welcome tells another user.
 * @typedef {{ticket: string, subject?: string}} Admission
 */

/**
 * @typedef {object} Options
 * @property {string[]} [protocols] subprotocols to offer
 * @property {BinaryType} [binaryType]
 * @property {AbortSignal} [signal] closes the socket for good
 * @property {boolean} [welcome] the server's first message is {"type":"welcome","claims":{…},"expires_at":…}, and it tells of
 *   renewals by {"type":"renewed","expires_at":…}. Default: true. Otherwise every message is the page's own.
 * @property {boolean} [renew] refresh before the socket's time is up. Default: true
 * @property {(code: number, reason: string) => import("./advice.js").Advice} [advise] decides otherwise than the table
 */

/**
 * - connecting: getting a ticket, or waiting for the server's welcome
 * - open: messages can be sent
 * - waiting: for the next try, in `retryIn` milliseconds, or as soon as the network is back
 * - stopped: reconnecting would change nothing; `reason` says why
 * - loggedout: the login is over; log in, then call reconnect()
 * - closed: by close() or by agreement
 * @typedef {"connecting"|"open"|"waiting"|"stopped"|"loggedout"|"closed"} State
 */

const patience = 15_000; // ms from the ticket to the welcome, and from a refresh to the word that this socket is renewed
const stable = 10_000; // ms after which a socket that ended was a good one; a server holds one that it refuses open for up to 5 s
const waking = ["online", "pageshow"]; // of the window; the document's visibilitychange is the third

/**
 * Opens a socket, and keeps it open.
 * @param {string} url its address, relative to the page
 * @param {Login} [login] Default: the login that the browser's cookies hold
 * @param {Options} [options]
 */
export function connect(url, login = new Session({ cookies: true }), options = {}) {
  return new AuthSocket(url, login, options);
}

/**
 * A socket that comes back. It fires:
 * - open {claims, expiresAt}: the server has let it in
 * - message {data}: as a WebSocket's
 * - renewed {expiresAt}: it may stay until then
 * - fresh_required, fresh_ok: the server wants the password again before it goes on (Session.fresh), and has got it
 * - close {code, reason, wasOpen, advice}: one connection has ended
 * - state {state, code, reason, advice, retryIn}: what becomes of it
 */
export class AuthSocket extends EventTarget {
  #url;
  #login;
  #options;
  /** @type {State} */
  #state = "connecting";
  /** @type {WebSocket|null} */
  #socket = null;
  #turn = 0; // counts the tries, so that an answer that comes late is known as late
  #attempt = 0; // tries that failed in a row
  #stale = false; // the access token has to be renewed before it is used again
  #refreshed = false; // it has been, because the server asked for it, and no good socket came of it yet
  #done = false; // the page wants no more
  #mayChange = false; // what comes next may be the socket of another user
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  #timer; // to try again, or to give this try up
  /** @type {any} */
  #claims = null;
  /** @type {string|undefined} */
  #subject; // of the first ticket; the page is this user's
  #openedAt = 0;
  #lease;
  #renewals = 0;
  #listening = new AbortController();

  /** @param {string} url @param {Login} login @param {Options} options */
  constructor(url, login, options) {
    super();
    this.#url = new URL(url, globalThis.location?.href);
    this.#url.protocol = this.#url.protocol.replace("http", "ws");
    this.#login = login;
    this.#options = options;
    this.#lease = new Lease(options.renew === false ? null : () => this.#renew());
    const { signal } = this.#listening;
    for (const name of waking) globalThis.addEventListener?.(name, this.#wake, { signal });
    globalThis.document?.addEventListener("visibilitychange", this.#wake, { signal });
    options.signal?.addEventListener("abort", () => this.close(), { signal });
    // The page gets a chance to listen first.
    queueMicrotask(() => (options.signal?.aborted ? this.close() : this.#connect()));
  }

  get state() {
    return this.#state;
  }

  /** When the socket's time is up, in milliseconds since 1970 by the clock of this machine. */
  get expiresAt() {
    return this.#lease.expiresAt;
  }

  get bufferedAmount() {
    return this.#socket?.bufferedAmount ?? 0;
  }

  /**
   * Sends a message, as WebSocket.send does. Nothing is kept for later: it throws unless the state is "open".
   * @param {Parameters<WebSocket["send"]>[0]} data
   */
  send(data) {
    if (this.#state !== "open" || this.#done) throw new DOMException(`The socket is ${this.#state}`, "InvalidStateError");
    this.#socket?.send(data);
  }

  /** Closes the socket for good. */
  close(code = 1000, reason = "done") {
    if (this.#done) return;
    this.#socket?.close(code, reason); // its close event says the rest
    this.#done = true;
    this.#turn++;
    clearTimeout(this.#timer);
    this.#lease.reset();
    this.#listening.abort();
    if (!this.#socket) this.#become("closed", code, reason, "done");
  }

  /**
   * Tries again now: after a login, or because the person asks. The user may be
   * another one only where the end asked for a login, or was that of another
   * user.
   */
  reconnect() {
    if (this.#done || this.#socket || this.#state === "connecting") return;
    this.#attempt = 0;
    this.#refreshed = false;
    if (this.#mayChange) {
      this.#claims = null;
      this.#subject = undefined;
    }
    if (this.#state === "loggedout") { // what there is now is a new login, whose token is good, and perhaps fresh
      this.#stale = false;
      this.#lease.reset();
    }
    this.#connect();
  }

  async #connect() {
    const turn = ++this.#turn;
    clearTimeout(this.#timer);
    this.#become("connecting");
    let refreshing = this.#stale || this.#lease.due;
    try {
      if (refreshing) {
        await this.#login.refresh();
        refreshing = false;
        if (turn !== this.#turn) return;
        this.#stale = false;
        this.#lease.reset();
      }
      const { query, subject } = await this.#admission(this.#url.pathname);
      if (turn !== this.#turn) return;
      if (this.#isOther(subject, this.#subject)) return this.#stopAsOther();
      this.#subject ??= subject;
      this.#open(query);
    } catch (e) {
      if (turn !== this.#turn) return;
      const error = /** @type {any} */ (e);
      if (refreshing && endsLogin(error)) this.#become("loggedout", 3000, error.reason, "refresh");
      else this.#over(closeCodeOf(error), reasonOf(error), false, error?.retryAfter); // as if a socket had been refused so
    }
  }

  /**
   * What opens the socket, and whose it will be, where that is known.
   * @param {string} path
   * @returns {Promise<{query: Record<string, string>, subject?: string|undefined}>}
   */
  async #admission(path) {
    const login = this.#login;
    if (login.query) return { query: await login.query(path) };
    const given = (await (login.admission ? login.admission(path) : login.ticket?.(path))) ?? "";
    return typeof given === "string" ? { query: { ticket: given } } : { query: { ticket: given.ticket }, subject: given.subject };
  }

  /** @param {string|undefined} subject @param {string|undefined} known */
  #isOther(subject, known) {
    return subject !== undefined && known !== undefined && subject !== known;
  }

  /** Another window logged someone else in. */
  #stopAsOther() {
    this.#turn++;
    this.#release();
    this.#become("stopped", 3003, "other_user", "stop");
  }

  /** @param {Record<string, string>} query */
  #open(query) {
    const url = new URL(this.#url);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    const socket = new WebSocket(url, this.#options.protocols ?? []);
    this.#socket = socket;
    let opened = false; // though perhaps only to be told a close code
    if (this.#options.binaryType) socket.binaryType = this.#options.binaryType;
    this.#timer = setTimeout(() => this.#drop("no_welcome"), patience);
    socket.addEventListener("open", () => {
      opened = true;
      if (this.#options.welcome === false) this.#welcomed({}, this.#login.expiresAt);
    });
    socket.addEventListener("message", ({ data }) => {
      if (socket === this.#socket) this.#receive(data);
    });
    socket.addEventListener("close", ({ code, reason }) => {
      if (socket === this.#socket) this.#over(code, reason, opened);
    });
  }

  /** @param {any} data */
  #receive(data) {
    const told = this.#options.welcome === false ? null : control(data);
    switch (told?.type) {
      case "welcome":
        if (this.#state === "open") break; // the application's own
        return this.#welcomed(told.claims ?? {}, told.expires_at * 1000);
      case "renewed":
      case "auth_ok":
        return this.#renewed(told.expires_at * 1000);
      case "fresh_required":
      case "fresh_ok":
        return this.#tell(told.type, {});
    }
    this.dispatchEvent(new MessageEvent("message", { data }));
  }

  /** @param {any} claims @param {number} [expiresAt] */
  #welcomed(claims, expiresAt = Infinity) {
    if (this.#claims && claims.sub !== this.#claims.sub) return this.#stopAsOther();
    this.#claims = claims;
    this.#openedAt = Date.now();
    clearTimeout(this.#timer);
    const life = claims.exp ? (claims.exp - claims.iat) * 1000 : expiresAt - Date.now();
    this.#lease.until(expiresAt, Number.isFinite(life) ? life : 0);
    this.#become("open");
    this.#tell("open", { claims, expiresAt: this.expiresAt });
  }

  /** @param {number} expiresAt */
  #renewed(expiresAt) {
    this.#renewals++;
    this.#lease.until(expiresAt);
    this.#tell("renewed", { expiresAt: this.expiresAt });
  }

  async #renew() {
    const [turn, heard] = [this.#turn, this.#renewals];
    this.#lease.plan(); // the next try, should this one fail
    try {
      await this.#login.refresh();
    } catch (error) {
      if (turn !== this.#turn || !endsLogin(error)) return;
      this.#stale = true;
      return this.#lease.stop(); // the socket keeps the time that it has; its end says the rest
    }
    if (turn !== this.#turn || this.#state !== "open") return;
    if (this.#options.welcome === false) return this.#renewed(this.#login.expiresAt ?? Infinity);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => { // a socket that does not hear of it is dead, as after a long sleep
      if (heard === this.#renewals) this.#drop("no_answer");
    }, patience);
  }

  #wake = (/** @type {Event} */ { type }) => {
    if (type === "visibilitychange" && document.visibilityState !== "visible") return;
    const online = type === "online";
    if (this.#state === "open") {
      if (this.#lease.over) this.#drop("slept");
      else if (this.#options.renew !== false && (online || this.#lease.due)) this.#renew(); // which finds out whether it lives
    }
    if (this.#state === "waiting" && (online || this.#lease.over)) {
      this.#stale = true;
      this.#attempt = 0;
      this.#connect();
    }
  };

  /** Gives up a connection that the browser still holds for good. @param {string} reason */
  #drop(reason) {
    this.#release();
    this.#over(1006, reason, this.#state === "open");
  }

  #release() {
    const socket = this.#socket;
    this.#socket = null;
    clearTimeout(this.#timer);
    socket?.close();
  }

  /** @param {number} code @param {string} reason @param {boolean} wasOpen */
  #over(code, reason, wasOpen, retryAfter = 0) {
    clearTimeout(this.#timer);
    this.#lease.pause();
    this.#socket = null;
    const limited = reason === "rate_limited" || reason === "connection_limit"; // coming again sooner would not help
    if (this.#state === "open" && !limited && Date.now() - this.#openedAt >= stable) {
      this.#attempt = 0;
      this.#refreshed = false;
    }
    const advice = this.#done ? "done" : this.#advise(code, reason);
    this.#tell("close", { code, reason, wasOpen, advice });
    if (advice === "done") return this.#become("closed", code, reason, advice);
    if (this.#done) return; // the page closed it in the event
    if (advice === "stop") return this.#become("stopped", code, reason, advice);
    if (advice === "refresh") {
      if (this.#login.over) return this.#become("loggedout", code, reason, advice);
      if (this.#refreshed) return this.#become("stopped", code, reason, advice); // the new token is as bad as the old one
      this.#refreshed = true;
      this.#stale = true;
    }
    // A browser that says it is offline knows of no way out; a server of this machine or this house may be there all the same.
    const pause = globalThis.navigator?.onLine === false ? offlineWait() : backoff(this.#attempt++, advice);
    const retryIn = askedWait(retryAfter) + pause; // not all at the first moment at which they may
    this.#timer = setTimeout(() => this.#connect(), retryIn);
    this.#become("waiting", code, reason, advice, retryIn);
  }

  /** @param {number} code @param {string} reason */
  #advise(code, reason) {
    return this.#options.advise?.(code, reason) ?? advise(code);
  }

  /** @param {State} state @param {import("./advice.js").Advice} [advice] */
  #become(state, code = 0, reason = "", advice, retryIn = 0) {
    this.#state = state;
    if (state !== "connecting") this.#mayChange = state === "loggedout" || (state === "stopped" && (code === 3000 || reason === "other_user"));
    this.#tell("state", { state, code, reason, advice, retryIn });
  }

  /** @param {string} type @param {object} about */
  #tell(type, about) {
    this.dispatchEvent(Object.assign(new Event(type), about));
  }
}

/** @param {any} error of a ticket or a refresh */
function closeCodeOf(error) {
  return error?.foreign ? 1014 : codeOf(error?.status);
}

/** @param {any} error of a ticket or a refresh */
function reasonOf(error) {
  if (error?.foreign) return "bad_gateway";
  return error?.status ? (error.reason ?? "") : "unreachable";
}

/** The message of the server to this module that data is, or null. @param {any} data */
function control(data) {
  if (typeof data !== "string" || !data.startsWith("{")) return null;
  try {
    return JSON.parse(data);
  } catch {
    return null;
  }
}
