// Two public ports, and a third that is this process's own.
import http = require('node:http');

const server = (): http.Server => http.createServer((_request, response) => response.end(String(process.pid)));
server().listen(Number(process.env['PORT']));
server().listen(process.env['SECOND_PORT']);
