// y-websocket's own server, whose awareness carries cursors: node yjs.mjs PORT
import http from "node:http";
import { WebSocketServer } from "ws";
import { setupWSConnection } from "y-websocket/bin/utils";

const server = http.createServer((request, response) => response.end());
const sockets = new WebSocketServer({ server, perMessageDeflate: false });
sockets.on("connection", setupWSConnection);
server.listen(Number(process.argv[2]), "127.0.0.1");
