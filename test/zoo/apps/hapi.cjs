const Hapi = require('@hapi/hapi');

async function start() {
	const server = Hapi.server({ port: process.env.PORT, host: 'localhost' });
	server.route([
		{ method: 'GET', path: '/', handler: () => ({ pid: process.pid }) },
		{ method: 'GET', path: '/healthz', handler: () => 'ok' },
	]);
	await server.start();
	const stop = () => server.stop({ timeout: 10_000 }).then(() => process.exit(0));
	process.on('SIGTERM', stop);
	process.on('SIGINT', stop);
}

start();
