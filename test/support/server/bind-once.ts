import { once } from 'node:events';
import { createServer } from 'node:net';
import { RollcallError } from '../../../src/errors.js';
import { bindSocket } from '../../../src/server/listeners/unix-socket.js';

/** Binds the socket given as argument, says what came of it, and stays until its standard input ends. */
const server = createServer();
const [, , path = ''] = process.argv;
try {
	const remove = await bindSocket({ path, mode: 0o600 }, async (at) => {
		server.listen(at);
		await once(server, 'listening');
	});
	process.stdout.write('bound\n');
	process.stdin.resume();
	await once(process.stdin, 'end');
	await remove();
} catch (error) {
	process.stdout.write(`${error instanceof RollcallError ? error.code : String(error)}\n`);
	process.stdin.resume();
	await once(process.stdin, 'end');
}
server.close();
process.exitCode = 0;
