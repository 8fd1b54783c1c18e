// No HTTP at all: says back what it hears.
import net = require('node:net');

net.createServer((socket) => socket.pipe(socket)).listen(Number(process.env['PORT']), '127.0.0.1');
