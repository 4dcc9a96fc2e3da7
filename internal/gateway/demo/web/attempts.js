// What can be sent with the handshake. The first choice is correct; the others
// demonstrate how the server refuses.

const choices = {
  anonymous: { none: "Nothing: you are not logged in" },
  token: {
    good: "A ticket",
    used: "A used ticket",
    tampered: "A ticket with one character changed",
    address: "A token in the URL",
    none: "Nothing",
  },
  cookie: {
    good: "A ticket",
    used: "A used ticket",
    cookie: "The cookie and its CSRF value",
    none: "Only the cookie",
    tampered: "The cookie and a wrong CSRF value",
    address: "A token in the URL",
  },
};

/**
 * Fills a select with the choices for a kind of session.
 * @param {HTMLSelectElement} select
 * @param {"anonymous"|"token"|"cookie"} kind
 */
export function offer(select, kind) {
  select.replaceChildren(...Object.entries(choices[kind]).map(([value, words]) => new Option(words, value)));
}

/**
 * Returns the session to open a socket with. Except for "good", it sends what
 * the attempt says instead of what the client would send.
 * @param {import("/auth/client/wsauth.js").Session} session
 * @param {"good"|"used"|"cookie"|"tampered"|"address"|"none"} attempt
 */
export function loginFor(session, attempt) {
  if (attempt === "good") return session;
  const queries = {
    none: async () => ({}),
    cookie: async () => ({ csrf_token: csrf() }),
    tampered: async () => (session.cookies ? { csrf_token: tampered(csrf()) } : { ticket: tampered(await session.ticket("/ws")) }),
    used: async (path) => used(await session.ticket(path), path),
    address: async () => ({ token: "eyJhbGciOiJIUzI1NiJ9.e30.AAAA" }), // not a real one, because URLs are logged
  };
  return { query: queries[attempt], refresh: () => session.refresh() };
}

/**
 * Returns the CSRF value of the cookie that the browser sends with the
 * handshake.
 */
function csrf() {
  return document.cookie.match(/(?:^|; )csrf_access_token=([^;]*)/)?.[1] ?? "";
}

/** Changes the first character of a ticket or a CSRF value. */
function tampered(proof) {
  return (proof[0] === "A" ? "B" : "A") + proof.slice(1);
}

/** Opens a socket with a ticket, which uses the ticket up. */
function used(ticket, path) {
  const url = new URL(path, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  url.searchParams.set("ticket", ticket);
  return new Promise((done) => {
    const first = new WebSocket(url);
    first.addEventListener("open", () => first.close(1000));
    first.addEventListener("close", () => done({ ticket }));
  });
}
