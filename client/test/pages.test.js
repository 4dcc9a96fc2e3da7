import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { askedWait, backoff, offlineWait } from "../advice.js";
import { Lease } from "../lease.js";

const root = new URL("../../", import.meta.url);

test("the JavaScript in the pages parses", () => {
  const pages = ["README.md", "client/README.md", ...readdirSync(new URL("docs/", root)).map((name) => `docs/${name}`)];
  let found = 0;
  for (const page of pages) {
    for (const [, code] of readFileSync(new URL(page, root), "utf8").matchAll(/^```js\n(.*?)^```$/gms)) {
      found++;
      const { status, stderr } = spawnSync(process.execPath, ["--input-type=module", "--check", "-"], { input: code, encoding: "utf8" });
      assert.equal(status, 0, `${page}: ${stderr}\n${code}`);
    }
  }
  assert.ok(found >= 3, `${found} found`);
});

/** Returns the value of a constant that a file does not export. */
function constant(file, name) {
  const found = readFileSync(new URL(`client/${file}`, root), "utf8").match(new RegExp(`^const ${name} = ([\\d_]+);`, "m"));
  assert.ok(found, `${file} has no constant ${name}`);
  return Number(found[1].replaceAll("_", ""));
}

/**
 * Returns the range of a random function, in seconds.
 */
function range(t, f) {
  const random = t.mock.method(Math, "random", () => 0);
  const low = f() / 1000;
  random.mock.mockImplementation(() => 1);
  const high = f() / 1000;
  random.mock.restore();
  return [low, high];
}

/** Returns when a lease of 1000 s is renewed. */
function renewal() {
  const lease = new Lease(() => {});
  const started = Date.now();
  lease.until(started + 1_000_000, 1_000_000);
  let [early, late] = [0, 1_000_000];
  const now = Date.now;
  try {
    while (late - early > 1) {
      const middle = Math.floor((early + late) / 2);
      Date.now = () => started + middle;
      [early, late] = lease.due ? [early, middle] : [middle, late];
    }
  } finally {
    Date.now = now;
    lease.until(Infinity);
  }
  return late;
}

test("the numbers in the pages are those of the module", (t) => {
  const words = { 5: "five" };
  const s = (ms) => `${ms / 1000} s`;
  const tries = constant("session.js", "tries");
  const persistence = constant("session.js", "persistence");
  const stable = constant("wsauth.js", "stable");
  const [, first] = range(t, () => backoff(0));
  const [, firstWait] = range(t, () => backoff(0, "wait"));
  const [, longest] = range(t, () => backoff(100));
  const offline = range(t, offlineWait);
  const share = range(t, renewal).map((seconds) => Math.round(seconds / 10)).join(" to ");
  assert.equal(askedWait(3_600_001), 3_600_000, "at most an hour");
  const pages = {
    "client/README.md": [
      `after ${share} % of the token's remaining lifetime`,
      `${words[tries]} times in total, within ${s(persistence)}`,
      `up to a limit that doubles from ${first} s to ${longest} s`,
      `each wait takes ${offline[0]} to ${offline[1]} s; it still`,
      `reconnects; the first wait is at most ${first} s`,
      `reconnects; the first wait is at most ${firstWait} s`,
      "after the time in `Retry-After`, but after an hour at the latest",
    ],
    "docs/sessions.md": [
      `refreshes at a random point, after ${share} % of the time`,
      `up to a limit that doubles from ${first} s to ${longest} s. The limit starts at ${firstWait} s if`,
      `treats a socket as successful after ${s(stable)}`,
    ],
    "docs/close-codes.md": [
      `the server has let it in and ${s(stable)} have passed`,
      `a random moment of ${share} % of the time that is left: refresh`,
      `1001, 1011 to 1014: limit = min(${longest} s, ${firstWait} s * 2^attempt)`,
      `any other: limit = min(${longest} s, ${first} s * 2^attempt)`,
    ],
    "docs/connect.md": [`after a random ${share} % of its time, like [the browser client]`],
  };
  for (const [page, sentences] of Object.entries(pages)) {
    const text = readFileSync(new URL(page, root), "utf8").replaceAll(/\s+/g, " ");
    for (const sentence of sentences) assert.ok(text.includes(sentence), `${page} does not say "${sentence}"`);
  }
});
