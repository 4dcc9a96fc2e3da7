"""A server of Python's http.server that answers uploads as their path says.

Like many of its kind it writes the head and the body of an answer separately.
"""
import http.server
import sys
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    def setup(self):
        # One that keeps connections must read every body.
        self.protocol_version = "HTTP/1.0"
        super().setup()

    def read_body(self):
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            left = int(self.headers.get("Content-Length", 0))
            while left > 0:
                left -= len(self.rfile.read(min(left, 65536)))
            return
        while size := int(self.rfile.readline(), 16):
            self.rfile.read(size + 2)
        self.rfile.readline()

    def answer(self):
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.flush()
        self.wfile.write(b"hello")

    def do_POST(self):
        if self.path == "/late":
            self.read_body()
        self.answer()
        if self.path == "/early":
            self.read_body()

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
