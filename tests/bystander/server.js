// An ordinary Node server with Node's own keep-alive: idle connections are closed after 5 s. Newer versions wait a second longer than
// they say, so that clients who believe them never meet the end; this server does what all did before: 5 s are 5 s.
"use strict";
const http = require("node:http");
const net = require("node:net");

const KEEP_ALIVE_MS = 5000;
let draining = false;

function answer(request, response) {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    response.setHeader("X-Version", process.env.VERSION || "base");
    response.setHeader("X-Peer", request.socket.remoteAddress.replace(/^::ffff:/, ""));
    if (draining) response.setHeader("Connection", "close");
    const body = Buffer.concat(chunks);
    response.setHeader("Content-Length", body.length);
    response.end(body);
  });
}

// How many milliseconds longer than it says this Node keeps a connection.
function measureSurplus(then) {
  const said = 500;
  const server = http.createServer({ keepAliveTimeout: said }, answer);
  server.listen(0, "127.0.0.1", () => {
    const socket = net.connect(server.address().port, "127.0.0.1");
    let since;
    socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    socket.on("data", () => (since = Date.now()));
    socket.on("close", () => {
      server.close();
      then(Math.max(0, Math.round((Date.now() - since - said) / 1000) * 1000));
    });
  });
}

measureSurplus((surplus) => {
  const server = http.createServer({ keepAliveTimeout: KEEP_ALIVE_MS - surplus }, answer);
  server.listen(Number(process.env.PORT || 8080), () => {
    console.log(`serving, idle connections are closed after ${KEEP_ALIVE_MS} ms`);
  });
  process.on("SIGTERM", () => {
    draining = true;
    setTimeout(() => server.close(() => process.exit(0)), Number(process.env.DRAIN_MS || 10000));
  });
});
