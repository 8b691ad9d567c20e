// Socket.IO, which sends each move to everybody else: node socketio.mjs PORT
import http from "node:http";
import { Server } from "socket.io";

const server = http.createServer((request, response) => response.end());
const io = new Server(server, { transports: ["websocket"] });
io.on("connection", (socket) => {
  socket.on("cursor", (position) => socket.broadcast.emit("cursor", position));
});
server.listen(Number(process.argv[2]), "127.0.0.1");
