// Explains to users why a socket ended, and what a client should do next. The
// reason, a stable identifier, is more specific than the code, so it is looked
// up first. The codes are those of RFC 6455 section 7.4.1 and IANA's registry.

/**
 * @typedef {object} Explanation
 * @property {string} title
 * @property {string} meaning
 * @property {string} advice what to do next
 * @property {("refresh"|"login"|"reconnect")[]} actions the buttons to show
 * @property {boolean} [normal] whether nothing went wrong
 */

const doNotReconnect = "Do not reconnect without a change: the result would be the same.";
const randomWait = "Reconnect after a random wait, so that not all clients reconnect at the same time.";

/** @type {Record<string, Explanation>} */
const reasons = {
  token_missing: {
    title: "The handshake had no token",
    meaning: "Without a token, the server cannot identify you.",
    advice: "Log in, then reconnect with the token.",
    actions: ["login"],
  },
  token_invalid: {
    title: "The token is not valid",
    meaning: "Its format, its signature or a claim is wrong.",
    advice: "Refresh or log in to get a valid one, then reconnect.",
    actions: ["refresh", "login"],
  },
  token_expired: {
    title: "The token has expired",
    meaning: "A socket may be open only as long as its token is valid.",
    advice: "Refresh, or log in again, then reconnect with the new access token.",
    actions: ["refresh", "login"],
  },
  token_revoked: {
    title: "The token has been revoked",
    meaning: "It was valid, but the server no longer accepts it.",
    advice: "Refresh, or log in again, then reconnect.",
    actions: ["refresh", "login"],
  },
  session_ended: {
    title: "The session has ended",
    meaning: "The session was logged out here, in another window, or on another device. Its sockets were closed at once.",
    advice: "Log in again, then reconnect.",
    actions: ["login"],
  },
  origin_not_allowed: {
    title: "This site may not open the socket",
    meaning: "The server does not allow sockets from the origin of this page.",
    advice: doNotReconnect + " The server’s list of origins has to name this site.",
    actions: [],
  },
  csrf_mismatch: {
    title: "The CSRF value is missing or wrong",
    meaning: "Browsers send cookies on their own. Without the matching value, the server cannot know that this page sent the request.",
    advice: doNotReconnect + " Send the value that belongs to the cookie.",
    actions: [],
  },
  wrong_token_type: {
    title: "The token has the wrong type",
    meaning: "An access token is required here. A refresh token is only for getting new access tokens.",
    advice: doNotReconnect + " Send the access token.",
    actions: [],
  },
  fresh_token_required: {
    title: "A fresh token is required",
    meaning: "This socket requires a token that was issued in exchange for a password, not for a refresh token.",
    advice: doNotReconnect + " Log in with the password.",
    actions: ["login"],
  },
  sockets_not_allowed: {
    title: "No sockets at this address",
    meaning: "The address is public, and its route does not allow sockets.",
    advice: doNotReconnect + " Use the address of the guarded socket, or set sockets: true at the route.",
    actions: [],
  },
  connection_limit: {
    title: "A newer socket replaced it",
    meaning: "The number of your sockets is limited, and a newer one was opened.",
    advice: doNotReconnect + " Close another one first.",
    actions: ["reconnect"],
  },
  auth_timeout: {
    title: "No token was sent in time",
    meaning: "The server waited for a first message with the token and did not receive one.",
    advice: "Reconnect, and send the token at once.",
    actions: ["reconnect"],
  },
  idle_timeout: {
    title: "Nothing was sent for too long",
    meaning: "The gateway closes a socket if nothing is sent for too long, or if its client does not answer pings.",
    advice: "Reconnect.",
    actions: ["reconnect"],
  },
  not_authorized: {
    title: "You may not open this socket",
    meaning: "The server knows who you are, but its rules do not allow this.",
    advice: doNotReconnect,
    actions: [],
  },
  invalid_request: {
    title: "The handshake is ambiguous",
    meaning: "It has more than one credential, or one that can be read in several ways.",
    advice: doNotReconnect + " Send one credential, in one place, once.",
    actions: [],
  },
};

/** @type {Record<number, Explanation>} */
const codes = {
  1000: {
    title: "Closed normally",
    meaning: "One side closed the socket, and the other confirmed it.",
    advice: "Nothing. You can open it again at any time.",
    actions: ["reconnect"],
    normal: true,
  },
  1001: {
    title: "The other side is going away",
    meaning: "The server is stopping.",
    advice: randomWait,
    actions: ["reconnect"],
    normal: true,
  },
  1006: {
    title: "The connection broke",
    meaning: "There was no close frame: the network failed, or the server is down.",
    advice: randomWait,
    actions: ["reconnect"],
  },
  1009: {
    title: "The message was too big",
    meaning: "The server accepts messages of up to 32 KiB.",
    advice: "Send shorter messages.",
    actions: ["reconnect"],
  },
  1011: {
    title: "The server failed",
    meaning: "The server has an error, which you have not caused.",
    advice: randomWait,
    actions: ["reconnect"],
  },
  1012: {
    title: "The server is restarting",
    meaning: "You are still logged in.",
    advice: randomWait,
    actions: ["reconnect"],
    normal: true,
  },
  1013: {
    title: "Not now",
    meaning: "The server is too busy, or cannot reach its store.",
    advice: randomWait,
    actions: ["reconnect"],
  },
  1014: {
    title: "The server behind the gateway does not answer",
    meaning: "The gateway accepted you, but the server behind it is down, broke the connection, or takes too long.",
    advice: randomWait,
    actions: ["reconnect"],
  },
  3000: {
    title: "No valid credential",
    meaning: "The server does not know who you are.",
    advice: "Refresh or log in, then reconnect.",
    actions: ["refresh", "login"],
  },
  3003: {
    title: "Not allowed",
    meaning: "The server does not allow this.",
    advice: doNotReconnect,
    actions: [],
  },
  3008: {
    title: "Too slow",
    meaning: "The server did not receive something in time.",
    advice: "Reconnect.",
    actions: ["reconnect"],
  },
};

/**
 * Meanings of reasons that are more specific than the meaning of their code.
 * Title and advice are those of the code.
 * @type {Record<string, string>}
 */
const meanings = {
  message_too_big: "You sent more than the server accepts before authentication.",
  internal_error: "The server has an error, which you have not caused. Its log has the details.",
  bad_gateway: "The gateway accepted you, but the server behind it cannot be reached, broke the connection, or did not answer as a WebSocket server.",
  gateway_timeout: "The gateway accepted you, but the server behind it did not answer in time.",
  restarting: "The server stops. Another one takes over, or it will be back soon. You are still logged in.",
  rate_limited: "You or your address have too many handshakes, renewals or open sockets.",
  overloaded: "The server has too many connections, or too many from your address.",
  store_unavailable: "The server cannot check revocations, so it accepts no one for now.",
  invalid_handshake: "The request is not a valid WebSocket handshake.",
  method_not_allowed: "A WebSocket handshake must use GET.",
  version_not_supported: "The server supports only version 13 of the WebSocket protocol.",
};

/**
 * Reasons that the client of this page sets itself, with code 1006 (broken
 * connection).
 * @type {Record<string, Explanation>}
 */
const ownReasons = {
  unreachable: {
    title: "The server cannot be reached",
    meaning: "It did not answer the request for a ticket.",
    advice: randomWait,
    actions: ["reconnect"],
  },
  no_welcome: {
    title: "The server does not respond",
    meaning: "It accepted the socket, but sent no welcome message.",
    advice: randomWait,
    actions: ["reconnect"],
  },
  no_answer: {
    title: "The connection is dead",
    meaning: "The session was refreshed, but the socket was not renewed.",
    advice: randomWait,
    actions: ["reconnect"],
  },
  slept: {
    title: "This computer was asleep",
    meaning: "The token of the socket has expired in the meantime.",
    advice: "Refresh, then reconnect.",
    actions: ["refresh"],
  },
  other_user: {
    title: "Someone else has logged in",
    meaning: "Another window of this browser is logged in as another user. This window does not use that login.",
    advice: "Load the page again.",
    actions: [],
  },
};

/** @type {Explanation} */
const neverOpened = {
  title: "The handshake failed",
  meaning: "The server is down, or it refused the handshake with an HTTP response, which browsers hide from pages.",
  advice: "If the server is running, its log has the reason. Behind a proxy that terminates TLS, it must be configured with the origin of this page (--origin); until then, reconnecting does not help.",
  actions: ["reconnect"],
};

/**
 * For a socket that the page has closed itself, because its session ended.
 * @type {Explanation}
 */
export const sessionOver = {
  title: "You are logged out",
  meaning: "The socket belonged to the session that ended, so this page has closed it.",
  advice: "Log in, then open it again.",
  actions: ["login"],
};

/**
 * Explains a close event.
 * @param {number} code
 * @param {string} reason
 * @param {boolean} opened whether the socket was open before
 * @returns {Explanation}
 */
export function explain(code, reason, opened) {
  if (Object.hasOwn(ownReasons, reason)) return ownReasons[reason];
  if (code === 1006 && !opened) return neverOpened;
  if (code >= 3000 && Object.hasOwn(reasons, reason)) return reasons[reason];
  const known = codes[code];
  if (known && Object.hasOwn(meanings, reason)) return { ...known, meaning: meanings[reason] };
  return known ?? {
    title: "The socket was closed",
    meaning: "This page does not know this code.",
    advice: "Reconnect after a wait.",
    actions: ["reconnect"],
  };
}
