// A page with thirty sockets of one login, on Node's ws. It says when all are
// open, when the first has ended, and when all are back.
import { WebSocket } from "ws";
import { connect, Session } from "../../../../client/wsauth.js";

globalThis.WebSocket = WebSocket;
const server = process.argv[2];
const session = new Session({ base: `${server}/auth` });
await session.login("test", "test");
const sockets = Array.from({ length: 30 }, () => connect(`${server.replace("http", "ws")}/ws`, session));

let ended = 0; // when the first has
let open = false;
const codes = new Set();
for (const socket of sockets) {
  socket.addEventListener("close", ({ code, wasOpen }) => {
    if (wasOpen) codes.add(code);
    if (open && ended === 0) {
      ended = Date.now();
      console.log("ended");
    }
  });
  socket.addEventListener("state", () => {
    if (sockets.some(({ state }) => state !== "open")) return;
    console.log(open ? `back ${Date.now() - ended} ${[...codes]}` : "open");
    open = true;
  });
}
process.stdin.on("end", () => process.exit(0)).resume();
