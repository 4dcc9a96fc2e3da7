import { element } from "./dom.js";

const clock = (seconds) => new Date(seconds * 1000).toLocaleString([], { hour12: false });

/**
 * Functions that return the text and the meaning of a known claim. Other claims
 * are shown unchanged.
 */
const describers = {
  sub: (v) => [v, "who you are"],
  iat: (v) => [clock(v), "issued at"],
  nbf: (v) => [clock(v), "not valid before"],
  exp: (v) => [clock(v), "expiry: not valid after this time"],
  jti: (v) => [v, "the ID of this token"],
  sid: (v) => [v, "the session that it belongs to"],
  type: (v) => [v, v === "access" ? "for sockets and requests" : "for new access tokens"],
  fresh: (v) => [String(v), v ? "issued in exchange for a password" : "issued in exchange for a refresh token"],
  csrf: (v) => [v, "the value that a request must repeat, since browsers send the cookie on their own"],
};

/** Shows claims as a list of terms, each with its meaning. */
export function showClaims(list, claims) {
  list.replaceChildren(...Object.entries(claims).flatMap(([name, value]) => {
    const plain = typeof value === "string" ? value : JSON.stringify(value);
    const [text, meaning] = Object.hasOwn(describers, name) ? describers[name](value) : [plain, ""];
    const description = element("dd", "", text);
    if (meaning) description.append(element("small", "", meaning));
    return [element("dt", "", name), description];
  }));
}
