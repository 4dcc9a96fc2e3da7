// A WebSocket that stays open while the user is logged in, and reports why it
// ended. See README.md.
import { advise, askedWait, backoff, codeOf, offlineWait } from "./advice.js";
import { Lease } from "./lease.js";
import { readControl, readWelcome } from "./messages.js";
import { withoutPrefix } from "./path.js";
import { endsLogin, Refusal, Session } from "./session.js";
import { needs, socketURL, withQuery } from "./setup.js";

export { advise, backoff, codeOf, Refusal, Session };

/**
 * What a socket needs from a login: a {@link Session}, or functions of your
 * own. If the server refuses, they throw an error whose `status` is the HTTP
 * status. An error without a `status` is a network failure and is retried, and
 * so is an error with `foreign`: a proxy answered instead of the server.
 * @typedef {object} Login
 * @property {(path: string) => Promise<string|Admission>|string|Admission}
 *   [ticket] gets a ticket for one socket at that path
 * @property {(path: string) => Promise<Admission>|Admission} [admission] does
 *   the same; used instead of ticket
 * @property {(path: string) => Promise<Record<string, string>>|Record<string,
 *   string>} [query] returns the parameters that open one socket at that path;
 *   used instead of both
 * @property {() => Promise<unknown>|unknown} refresh renews the session, and
 *   with it the open sockets
 * @property {boolean} [over] whether there is no login, so that no request is
 *   needed
 * @property {number|Date|null|undefined} [expiresAt] when the access token
 *   expires, in milliseconds since 1970. Default: see README.md
 */

/**
 * A ticket, and information about its socket.
 * - subject: the user of the socket, such as the sub of the token. Without it,
 *   only a welcome identifies the user.
 * - expiresAt: when the socket's time is up, in milliseconds since 1970
 * - welcome: whether the server's first message on the socket is a welcome
 * @typedef {{ticket: string, subject?: string|undefined, expiresAt?:
 *   number|Date|null|undefined, welcome?: boolean|undefined}} Admission
 */

/**
 * What opens one connection: the parameters of its URL, and the rest of the
 * {@link Admission}.
 * @typedef {Omit<Admission, "ticket"> & {query: Record<string, string>}} Entry
 */

/**
 * @typedef {object} Options
 * @property {string|string[]} [protocols] subprotocols to offer
 * @property {BinaryType} [binaryType]
 * @property {AbortSignal} [signal] closes the socket for good
 * @property {boolean} [welcome] whether the server's first message is a
 *   welcome, see README.md. Default: as reported with the ticket, or else
 *   determined from the first message
 * @property {string} [stripPrefix] prefix of the path that a proxy removes,
 *   such as "/app"
 * @property {boolean} [renew] whether to refresh before the socket's time is
 *   up. Default: true
 * @property {(code: number, reason: string) => import("./advice.js").Advice}
 *   [advise] replaces the table of advice
 */

/**
 * - connecting: getting a ticket, or opening the connection
 * - open: messages can be sent
 * - waiting: for the next attempt, in `retryIn` milliseconds or as soon as the
 *   network is back
 * - stopped: reconnecting would change nothing; `reason` says why
 * - loggedout: the session has ended; log in, then call reconnect()
 * - closed: by close(), or normally by the server
 * @typedef {"connecting"|"open"|"waiting"|"stopped"|"loggedout"|"closed"} State
 */

const patience = 15_000; // ms for the handshake and a required welcome, and from a refresh to the renewal of this socket
const grace = 1_000; // ms to wait for an optional welcome
const stable = 10_000; // ms after which a socket is a success; a refused one may stay open for up to 5 s
const suspicious = 3; // failed handshakes in a row, with tickets, after which a warning is logged
const wakeEvents = ["online", "pageshow"]; // of the window; the document's visibilitychange is the third

/**
 * Opens a socket and keeps it open. It throws a TypeError if it cannot work at
 * all: without WebSocket, or with an invalid URL.
 * @param {string|URL} url its URL, relative to the page
 * @param {Login|null} [login] Default: the login in the browser's cookies
 * @param {Options} [options]
 */
export function connect(url, login, options) {
  return new AuthSocket(url, login, options);
}

/**
 * A socket that reconnects. It fires:
 * - open {claims, expiresAt}: messages can be sent
 * - message {data}: like that of a WebSocket
 * - renewed {expiresAt}: the socket's time was extended
 * - fresh_required, fresh_ok: the server requires the password again
 *   (Session.fresh), and has received it
 * - close {code, reason, wasOpen, advice}: one connection has ended
 * - state {state, code, reason, advice, retryIn}: the state has changed
 */
export class AuthSocket extends EventTarget {
  #url;
  #path; // in the server's spelling
  /** @type {Login} */
  #login;
  /** @type {Session|null} */
  #ownLogin = null; // the default login, which ends with the socket
  #options;
  /** @type {State} */
  #state = "connecting";
  /** @type {WebSocket|null} */
  #socket = null; // the connection in use
  /** @type {WebSocket|null} */
  #closing = null; // closed by close(), until it has ended
  #turn = 0; // counts connections and ends, to recognize late answers
  #attempt = 0; // failed attempts in a row
  #isStale = false; // the access token must be renewed before it is used again
  #refreshes = 0; // requested by the server since the last successful socket
  #isDone = false; // close() was called
  #isLoggedOut = false; // the login ended while a connection was open
  #mayChange = false; // the next connection may be that of another user
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  #timer; // for the next attempt, or the timeout of this one
  /** @type {any} */
  #claims = null; // of the first welcome
  /** @type {string|undefined} */
  #subject; // of the first ticket: the page belongs to this user
  #expects = /** @type {boolean|undefined} */ (undefined); // whether this connection begins with a welcome; undefined if unknown
  #hasControls = false; // a welcome was received, so messages such as "renewed" are from the server
  #grace = grace;
  /** @type {number|undefined} */
  #tokenExpiresAt; // according to the last ticket or refresh
  #openedAt = 0;
  #unopened = 0; // handshakes in a row that failed
  #hasWarned = false;
  #lease;
  #renewals = 0;
  #listening = new AbortController();

  /**
   * @param {string|URL} url
   * @param {Login|null} [login]
   * @param {Options} [options]
   */
  constructor(url, login, options = {}) {
    super();
    needs("connect", { WebSocket: globalThis.WebSocket });
    this.#url = socketURL(url);
    const { stripPrefix = "" } = options;
    this.#path = stripPrefix ? withoutPrefix(this.#url.pathname, stripPrefix) : this.#url.pathname;
    if (login) needs("The login of connect", { refresh: login.refresh, "ticket, admission or query": login.query ?? login.admission ?? login.ticket });
    else this.#ownLogin = new Session({ cookies: true, base: `${stripPrefix.replace(/\/+$/, "")}/auth` });
    this.#login = login ?? /** @type {any} */ (this.#ownLogin);
    this.#options = options;
    this.#lease = new Lease(options.renew === false ? null : () => this.#renew());
    const { signal } = this.#listening;
    for (const name of wakeEvents) globalThis.addEventListener?.(name, this.#wake, { signal });
    globalThis.document?.addEventListener("visibilitychange", this.#wake, { signal });
    options.signal?.addEventListener("abort", () => this.close(), { signal });
    if (this.#login instanceof EventTarget) this.#login.addEventListener("logout", this.#logout, { signal });
    // Let the page add listeners first, or close the socket again.
    queueMicrotask(() => {
      if (options.signal?.aborted) this.close();
      else if (this.#turn === 0) this.#connect();
    });
  }

  get state() {
    return this.#state;
  }

  /**
   * When the socket's time is up, in milliseconds since 1970 by the clock of
   * this machine.
   */
  get expiresAt() {
    return this.#lease.expiresAt;
  }

  get bufferedAmount() {
    return (this.#socket ?? this.#closing)?.bufferedAmount ?? 0;
  }

  /**
   * Sends a message, like WebSocket.send. It does not queue: it throws unless
   * the state is "open".
   * @param {Parameters<WebSocket["send"]>[0]} data
   */
  send(data) {
    if (this.#state !== "open" || !this.#socket) throw new DOMException(`The socket is ${this.#state}`, "InvalidStateError");
    this.#socket.send(data);
  }

  /**
   * Closes the socket permanently: when close returns, the state is "closed",
   * and nothing is requested or opened any more. If a connection was open, the
   * event "close" follows when it has ended. Like WebSocket.close, it throws
   * for a code other than 1000 and 3000 to 4999 and for a reason of more than
   * 123 bytes, but it closes the socket even then.
   */
  close(code = 1000, reason = "done") {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#turn++;
    clearTimeout(this.#timer);
    this.#lease.reset();
    this.#listening.abort();
    this.#ownLogin?.dispose();
    this.#closing = this.#socket;
    this.#socket = null;
    try {
      this.#closing?.close(code, reason);
    } catch (error) {
      this.#closing?.close();
      throw error;
    } finally {
      this.#become("closed", code, reason, "done");
    }
  }

  /**
   * Tries again now: after a login, or because the user wants to. Another user
   * is accepted only if the socket ended because a login was needed, or because
   * another user had logged in.
   */
  reconnect() {
    if (this.#isDone || this.#socket || this.#state === "connecting") return;
    this.#attempt = 0;
    this.#refreshes = 0;
    this.#isLoggedOut = false;
    if (this.#mayChange) {
      this.#claims = null;
      this.#subject = undefined;
    }
    if (this.#state === "loggedout") { // the token is from a new login, so valid and possibly fresh
      this.#isStale = false;
      this.#lease.reset();
    }
    this.#connect();
  }

  async #connect() {
    const turn = ++this.#turn;
    clearTimeout(this.#timer);
    this.#become("connecting");
    if (turn !== this.#turn) return;
    let refreshing = this.#isStale || this.#lease.due;
    try {
      if (refreshing) {
        await this.#refresh();
        refreshing = false;
        if (turn !== this.#turn) return;
        this.#isStale = false;
        this.#lease.reset();
      }
      const entry = await this.#enter(this.#path);
      if (turn !== this.#turn) return;
      if (isOther(entry.subject, this.#subject)) return this.#stopAsOther();
      this.#subject ??= entry.subject;
      if (entry.expiresAt != null) this.#tokenExpiresAt = Number(entry.expiresAt);
      this.#open(entry);
    } catch (e) {
      if (turn !== this.#turn) return;
      const error = /** @type {any} */ (e);
      if (refreshing && endsLogin(error)) this.#becomeLoggedOut();
      else this.#over(closeCodeOf(error), reasonOf(error), false, error?.retryAfter); // handled like a refused socket
    }
  }

  /**
   * Refreshes the session, and records the expiry of the new token if the
   * answer has it.
   */
  async #refresh() {
    this.#tokenExpiresAt = expiryOf(await this.#login.refresh());
  }

  /**
   * Gets the parameters and the information that the login has for a socket.
   * @param {string} path
   * @returns {Promise<Entry>}
   */
  async #enter(path) {
    const login = this.#login;
    if (login.query) return { query: await login.query(path) };
    const given = (await (login.admission ? login.admission(path) : login.ticket?.(path))) ?? "";
    if (typeof given === "string") return { query: { ticket: given } };
    const { ticket, ...rest } = given;
    return { query: { ticket }, ...rest };
  }

  /** Stops because another window has logged another user in. */
  #stopAsOther() {
    this.#turn++;
    this.#release();
    this.#become("stopped", 3003, "other_user", "stop");
  }

  /** @param {Entry} entry */
  #open({ query, welcome }) {
    const url = withQuery(this.#url, query);
    let socket;
    try {
      socket = new WebSocket(url, this.#options.protocols ?? []);
    } catch (error) { // such as a ws: URL in an https: page, or invalid protocols
      this.#warn("The browser does not allow this socket:", error);
      return this.#become("stopped", 1006, "blocked", "stop");
    }
    this.#socket = socket;
    this.#expects = this.#options.welcome ?? welcome;
    this.#hasControls = this.#expects === true;
    let opened = false; // possibly only to receive a close code
    let openedAt = Date.now();
    let messages = 0;
    if (this.#options.binaryType) socket.binaryType = this.#options.binaryType;
    this.#timer = setTimeout(() => this.#drop(opened ? "no_welcome" : "unreachable"), patience);
    socket.addEventListener("open", () => {
      if (socket !== this.#socket) return;
      opened = true;
      openedAt = Date.now();
      this.#unopened = 0;
      if (this.#expects === true) return;
      clearTimeout(this.#timer);
      if (this.#expects === false || this.#grace === 0) this.#admit();
      else this.#timer = setTimeout(() => this.#admit(), this.#grace);
    });
    socket.addEventListener("message", ({ data }) => {
      if (socket === this.#socket) this.#receive(data, ++messages === 1 && Date.now() - openedAt < patience);
    });
    socket.addEventListener("close", ({ code, reason }) => {
      if (socket === this.#closing) {
        this.#closing = null;
        this.#tell("close", { code, reason, wasOpen: opened, advice: "done" });
      }
      if (socket !== this.#socket) return;
      if (!opened && ++this.#unopened === suspicious) {
        this.#warn(`The server gives tickets for ${this.#path}, but each handshake with one fails. If a proxy removes the beginning of the path, set stripPrefix.`);
      }
      this.#over(code, reason, opened);
    });
  }

  /**
   * @param {any} data
   * @param {boolean} begins whether it is the first message of its connection
   *   and was received soon
   */
  #receive(data, begins) {
    const turn = this.#turn;
    const told = this.#expects === false ? null : readControl(data);
    if (told?.type === "welcome" && this.#isWelcome(told, begins)) return this.#welcomed(told);
    if (this.#state === "connecting" && this.#expects === undefined) this.#admit();
    if (turn !== this.#turn) return; // the page closed it in an event handler
    switch (this.#hasControls && told?.type) {
      case "renewed":
      case "auth_ok":
        return this.#renewed(told.expires_at * 1000);
      case "fresh_required":
      case "fresh_ok":
        return this.#tell(told.type, {});
    }
    this.dispatchEvent(new MessageEvent("message", { data }));
  }

  /**
   * Reports whether a message of the type "welcome" is the server's. If it is
   * unknown whether the server sends a welcome, only the first message can be
   * one, and only if it is for the user of the ticket. All others belong to the
   * application, and may come from other users.
   * @param {any} told @param {boolean} begins
   */
  #isWelcome(told, begins) {
    if (this.#expects === true) return this.#state === "connecting";
    const welcome = begins ? readWelcome(told) : null;
    return welcome !== null && !isOther(welcome.claims.sub, this.#subject);
  }

  /** @param {any} told a welcome */
  #welcomed({ claims, expires_at }) {
    if (this.#claims && claims?.sub !== this.#claims.sub) return this.#stopAsOther();
    const known = claims ?? {};
    this.#claims = known;
    this.#hasControls = true;
    const expiresAt = expires_at === undefined ? this.#expiry : expires_at * 1000;
    const life = known.exp ? (known.exp - known.iat) * 1000 : expiresAt - Date.now();
    this.#lease.until(expiresAt, Number.isFinite(life) ? life : 0);
    if (this.#state === "open") this.#tell("renewed", { expiresAt: this.expiresAt }); // the welcome was late
    else this.#opened(known);
  }

  /** Opens a socket without a welcome. */
  #admit() {
    this.#grace = 0; // the next connection need not wait for a welcome
    this.#extend(this.#expiry);
    this.#opened({});
  }

  /** @param {object} claims */
  #opened(claims) {
    const turn = this.#turn;
    this.#openedAt = Date.now();
    clearTimeout(this.#timer);
    this.#become("open");
    if (turn === this.#turn) this.#tell("open", { claims, expiresAt: this.expiresAt });
  }

  /** When the access token expires, or Infinity if unknown. */
  get #expiry() {
    const expiresAt = this.#login.expiresAt ?? Infinity;
    return Number(expiresAt === Infinity ? this.#tokenExpiresAt ?? Infinity : expiresAt);
  }

  /**
   * Sets the time of a socket for which only the expiry of the token is known.
   * @param {number} expiresAt by the clock of this machine
   */
  #extend(expiresAt) {
    this.#lease.until(expiresAt, Number.isFinite(expiresAt) ? expiresAt - Date.now() : 0);
  }

  /** @param {number} expiresAt */
  #renewed(expiresAt) {
    this.#renewals++;
    this.#lease.until(expiresAt);
    this.#tell("renewed", { expiresAt: this.expiresAt });
  }

  async #renew() {
    const [turn, heard] = [this.#turn, this.#renewals];
    this.#lease.plan(); // in case this attempt fails
    try {
      await this.#refresh();
    } catch (error) {
      if (turn !== this.#turn || !endsLogin(error)) return;
      this.#isStale = true;
      return this.#lease.stop(); // the socket stays open until it expires
    }
    if (turn !== this.#turn || this.#state !== "open") return;
    if (!this.#hasControls) {
      this.#extend(this.#expiry);
      return this.#tell("renewed", { expiresAt: this.expiresAt });
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => { // a socket that does not receive the renewal is dead, as after a long sleep
      if (heard === this.#renewals) this.#drop("no_answer");
    }, patience);
  }

  #wake = (/** @type {Event} */ { type }) => {
    if (type === "visibilitychange" && document.visibilityState !== "visible") return;
    const online = type === "online";
    if (this.#state === "open") {
      if (this.#lease.over) this.#drop("slept");
      else if (this.#options.renew !== false && (online || this.#lease.due)) this.#renew(); // the renewal shows whether the connection is alive
    }
    if (this.#state === "waiting" && (online || this.#lease.over)) {
      this.#isStale = true;
      this.#attempt = 0;
      this.#connect();
    }
  };

  /**
   * Stops waiting or connecting after a logout. An open connection stays open
   * until the server closes it.
   */
  #logout = () => {
    this.#isLoggedOut = true;
    if (this.#state !== "waiting" && this.#state !== "connecting") return;
    this.#turn++;
    this.#release();
    this.#becomeLoggedOut();
  };

  /**
   * Gives up a connection that the browser still considers open.
   * @param {string} reason
   */
  #drop(reason) {
    if (reason === "no_welcome") this.#warn(`The server sent no welcome within ${patience / 1000} s. If it sends none, leave the option welcome out.`);
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
    const turn = ++this.#turn;
    clearTimeout(this.#timer);
    this.#lease.pause();
    this.#socket = null;
    const limited = reason === "rate_limited" || reason === "connection_limit"; // an earlier attempt would be refused again
    if (this.#state === "open" && !limited && Date.now() - this.#openedAt >= stable) {
      this.#attempt = 0;
      this.#refreshes = 0;
    }
    const advice = this.#advise(code, reason);
    this.#tell("close", { code, reason, wasOpen, advice });
    if (turn !== this.#turn) return; // the page closed or reconnected it in an event handler
    if (advice === "done") return this.#become("closed", code, reason, advice);
    if (advice === "stop") return this.#become("stopped", code, reason, advice);
    if (this.#isLoggedOut || (advice === "refresh" && this.#login.over)) return this.#becomeLoggedOut();
    if (advice === "refresh") {
      // A new token that is also refused will not help. But if the session of a
      // valid token has ended since, a refresh detects that.
      if (this.#refreshes >= (endsSession(reason) ? 2 : 1)) return this.#become("stopped", code, reason, advice);
      this.#refreshes++;
      this.#isStale = true;
    }
    // A browser that reports to be offline has no route to the internet, but a
    // server on this machine or the local network may be reachable.
    const pause = globalThis.navigator?.onLine === false ? offlineWait() : backoff(this.#attempt++, advice);
    const retryIn = askedWait(retryAfter) + pause; // so that clients do not all return at the same time
    this.#timer = setTimeout(() => this.#connect(), retryIn);
    this.#become("waiting", code, reason, advice, retryIn);
  }

  /** @param {number} code @param {string} reason */
  #advise(code, reason) {
    return this.#options.advise?.(code, reason) ?? advise(code);
  }

  /**
   * Becomes "loggedout". The code and the reason are the same whether the page
   * or the server notices the end of the session first.
   */
  #becomeLoggedOut() {
    this.#become("loggedout", 3000, "session_ended", "refresh");
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

  /** Writes to the console, once per socket. @param {any[]} words */
  #warn(...words) {
    if (this.#hasWarned) return;
    this.#hasWarned = true;
    console.warn(`wsauth: ${this.#url.host}${this.#path}:`, ...words);
  }
}

/**
 * Reports whether two users are known and differ.
 * @param {string|undefined} a
 * @param {string|undefined} b
 */
function isOther(a, b) {
  return a !== undefined && b !== undefined && a !== b;
}

/**
 * Reports whether a reason means that the session is over, rather than that
 * the token is invalid.
 * @param {string} reason
 */
function endsSession(reason) {
  return reason === "session_ended" || reason === "token_revoked";
}

/**
 * Returns when the token from a refresh expires, in milliseconds since 1970, if
 * the answer is an object with `expiresAt`, or with `expires_in` in seconds,
 * like the response of a token endpoint (RFC 6749 section 5.1).
 * @param {any} answer
 */
function expiryOf(answer) {
  const at = Number(answer?.expiresAt ?? NaN);
  const left = Number(answer?.expires_in ?? NaN);
  if (at > 0) return at;
  return left > 0 ? Date.now() + left * 1000 : undefined;
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
