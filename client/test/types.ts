// Valid uses in TypeScript: "npm run check" compiles this file.
import { connect, Session } from "../wsauth.js";

class Plain {
  ticket = async (path: string) => `ticket for ${path}`;
  refresh = async () => {};
}

class Whole {
  over = false;
  expiresAt: Date | number | undefined;
  admission = async (_path: string) => ({ ticket: "t", subject: undefined, expiresAt: new Date(), welcome: false });
  refresh = async () => ({ expires_in: 900 });
}

export const sockets = [
  connect("/ws"),
  connect("/ws", null, { stripPrefix: "/app", welcome: true, renew: false, protocols: ["chat"], binaryType: "arraybuffer" }),
  connect(new URL("wss://app.example/ws"), new Session({ cookies: true })),
  connect("/ws", new Plain()),
  connect("/ws", new Whole()),
  connect("/ws", { ticket: () => "t", refresh: () => {} }),
  connect("/ws", { ticket: () => ({ ticket: "t" }), refresh: () => {}, expiresAt: new Date() }),
  connect("/ws", { query: async (path) => ({ token: path }), refresh: async () => {}, expiresAt: null }),
];

// @ts-expect-error A login renews itself.
connect("/ws", { ticket: () => "t" });
