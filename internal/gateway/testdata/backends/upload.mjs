// A Node server that answers uploads as their path says.
import { createServer } from "node:http";

const server = createServer((request, response) => {
  const answer = () => {
    response.writeHead(200, { "Content-Length": 5 });
    response.flushHeaders();
    setImmediate(() => response.end("hello"));
  };
  if (request.url === "/late") {
    request.on("end", answer).resume();
    return;
  }
  if (request.url === "/early") {
    request.resume();
  }
  answer();
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.on("end", () => process.exit(0)).resume();
