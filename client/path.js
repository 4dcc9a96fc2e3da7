// The path of a socket in the server's spelling, which tickets are bound to.

const hex = (/** @type {number} */ byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
const unreserved = /[A-Za-z0-9\-._~]/;
const strayPercent = /%(?![0-9A-Fa-f]{2})/g;

/**
 * Returns the canonical spelling of a path. Escapes of unreserved characters
 * are decoded, other escapes are in upper case, and everything that RFC 3986
 * does not allow in a path is escaped (section 6.2.2). An escaped slash,
 * semicolon or other reserved character stays escaped, because it is not
 * equivalent to the plain one. Segments "." and ".." are resolved, as by URL.
 *
 * internal/urlpath is the counterpart in the server; testdata/paths.json is
 * used by the tests of both.
 * @param {string} path must begin with a slash
 */
export function canonicalPath(path) {
  const spelled = path.replace(strayPercent, "%25").replace(/%..|[^A-Za-z0-9\-._~!$&'()*+,;=:@/]/gsu, (part) => {
    if (part.length !== 3 || part[0] !== "%") return Array.from(new TextEncoder().encode(part), hex).join("");
    const char = String.fromCharCode(parseInt(part.slice(1), 16));
    return unreserved.test(char) ? char : part.toUpperCase();
  });
  const [, ...parts] = spelled.split("/");
  /** @type {string[]} */
  const kept = [];
  for (const [i, part] of parts.entries()) {
    if (part === "..") kept.pop();
    if (part !== "." && part !== "..") kept.push(part);
    else if (i === parts.length - 1) kept.push("");
  }
  return `/${kept.join("/")}`;
}

/**
 * Returns a path without a prefix that a proxy strips. It throws a TypeError if
 * the path does not have the prefix.
 * @param {string} path @param {string} prefix such as "/app"
 */
export function withoutPrefix(path, prefix) {
  if (!/^\/(?![/\\])/.test(prefix)) throw new TypeError(`connect: the stripPrefix "${prefix}" must be a path that begins with one slash`);
  const above = canonicalPath(new URL(prefix, "http://localhost").pathname).replace(/\/+$/, "");
  const below = canonicalPath(path);
  if (below === above) return "/";
  if (!below.startsWith(`${above}/`)) throw new TypeError(`connect: the path ${below} does not begin with the stripPrefix ${above}/`);
  return below.slice(above.length);
}
