// Computes in a thread and in child processes that inherit its arguments and environment; each has a server of its own.
import childProcess = require('node:child_process');
import http = require('node:http');
import net = require('node:net');
import threads = require('node:worker_threads');

/** Listens as anybody would, and says where; a child must not be held or seen as a worker. */
function serve(tell: (answer: object) => void): void {
	const server = http.createServer((_request, response) => response.end('child'));
	server.listen(0, '127.0.0.1', () => {
		const { port } = server.address() as net.AddressInfo;
		const variables = Object.keys(process.env).filter((name) => name.startsWith('ROLLCALL'));
		tell({ pid: process.pid, port, execArgv: process.execArgv, variables, listeners: process.listenerCount('SIGINT') });
	});
}

if (!threads.isMainThread) {
	serve((answer) => threads.parentPort?.postMessage(answer));
} else if (process.argv[2] === 'child') {
	serve((answer) => process.send?.(answer));
} else {
	const server = http.createServer((request, response) => {
		const answer = (value: unknown): void => {
			response.end(JSON.stringify(value));
		};
		if (request.url === '/thread') {
			const thread = new threads.Worker(__filename);
			thread.once('message', answer);
		} else if (request.url === '/child') {
			const child = childProcess.fork(__filename, ['child']);
			child.once('message', (value) => {
				answer(value);
				child.kill('SIGKILL');
			});
		} else response.end(String(process.pid));
	});
	server.listen(Number(process.env['PORT']), '127.0.0.1');
}
