// Tests that the ticket is for the path of the socket, in the spelling that the
// server compares.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { canonicalPath } from "../path.js";
import { connect } from "../wsauth.js";
import { fakeClock } from "./clock.js";
import { FakeSocket, fakeBrowser } from "./fake.js";

const vectors = JSON.parse(readFileSync(new URL("../../internal/urlpath/testdata/paths.json", import.meta.url), "utf8"));

test("the canonical path is the server's", () => {
  assert.ok(vectors.length >= 50);
  for (const { path, canonical } of vectors) {
    assert.equal(canonicalPath(path), canonical, path);
    assert.equal(canonicalPath(canonical), canonical, `${canonical} is its own`);
  }
});

test("the ticket is for the path that is opened, in any spelling of the page", async (t) => {
  const clock = fakeClock(t);
  fakeBrowser(t);
  for (const { path, canonical, notInURL } of vectors) {
    if (notInURL) continue;
    for (const url of [path, canonical, `https://app.example${path}`]) {
      const asked = [];
      const socket = connect(url, { ticket: (path) => asked.push(path) && "t", refresh: () => {} });
      await clock.settle();
      assert.deepEqual(asked, [canonical], url);
      assert.equal(FakeSocket.last.url.pathname, canonical);
      socket.close();
    }
  }
});

test("an unpaired surrogate is encoded as by URL", () => {
  assert.equal(canonicalPath("/\ud800"), new URL("https://app.example/\ud800").pathname);
});
