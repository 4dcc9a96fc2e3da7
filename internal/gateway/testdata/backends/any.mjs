// Two servers in one: pages at every path, and sockets of Node's ws at every
// path as well, as ws does with {server}.
import { createServer } from "node:http";
import { WebSocketServer } from "ws";

const said = (request) => `${request.method} ${request.url} user=${request.headers["x-user"] ?? ""}`;
const server = createServer((request, response) => response.end(said(request)));
new WebSocketServer({ server }).on("connection", (socket, request) => {
  socket.on("error", () => {});
  socket.send(said(request));
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.on("end", () => process.exit(0)).resume();
