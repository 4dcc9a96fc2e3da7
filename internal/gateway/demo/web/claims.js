import { element } from "./dom.js";

const clock = (seconds) => new Date(seconds * 1000).toLocaleString([], { hour12: false });

/** The text and the meaning of known claims. Others are shown unchanged. */
const readers = {
  sub: (v) => [v, "who you are"],
  iat: (v) => [clock(v), "issued at"],
  nbf: (v) => [clock(v), "not valid before"],
  exp: (v) => [clock(v), "valid until then, and no moment longer"],
  jti: (v) => [v, "the name of this one token"],
  sid: (v) => [v, "the login that it belongs to"],
  type: (v) => [v, v === "access" ? "opens sockets and requests" : "fetches new access tokens"],
  fresh: (v) => [String(v), v ? "came straight from the password" : "came from a refresh"],
  csrf: (v) => [v, "what a request must repeat, since the cookie comes by itself"],
};

/** Shows claims as a list of terms, each with its meaning. */
export function showClaims(list, claims) {
  list.replaceChildren(...Object.entries(claims).flatMap(([name, value]) => {
    const plain = typeof value === "string" ? value : JSON.stringify(value);
    const [text, meaning] = Object.hasOwn(readers, name) ? readers[name](value) : [plain, ""];
    const description = element("dd", "", text);
    if (meaning) description.append(element("small", "", meaning));
    return [element("dt", "", name), description];
  }));
}
