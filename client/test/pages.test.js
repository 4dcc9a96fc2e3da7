import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

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
