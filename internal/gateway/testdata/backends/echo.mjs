// An echo server of Node's ws that knows nothing of authentication. Its first
// message is the identity that the gateway states for the client.
import { WebSocketServer } from "ws";

const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: true, handleProtocols: (offered) => (offered.has("chat") ? "chat" : false) });
server.on("listening", () => console.log(server.address().port));
server.on("connection", (socket, request) => {
  socket.on("error", () => {}); // a client that breaks the protocol
  socket.on("close", (code, reason) => console.log(`closed ${code} ${reason}`));
  socket.on("message", (data, binary) => socket.send(data, { binary }));
  socket.send(`user=${request.headers["x-user"]} authorization=${request.headers.authorization}`);
});
process.stdin.on("end", () => process.exit(0)).resume();
