/** The zoo: what stands in `http_workers` for each app; paths are of `test/zoo`. */
export interface Animal {
	readonly name: string;
	/** Answers GET / with a status below 500 only as it should. */
	readonly script: string;
	readonly cwd?: string;
	readonly args?: readonly string[];
	readonly nodeArgs?: readonly string[];
	readonly env?: Readonly<Record<string, string>>;
	readonly healthPath?: string;
	/** Clients that hold a websocket of socket.io's meanwhile. */
	readonly socketClients?: number;
}

export const animals: readonly Animal[] = [
	{ name: 'express', script: 'apps/express.cjs', healthPath: '/healthz' },
	{ name: 'fastify', script: 'apps/fastify.mjs', healthPath: '/healthz' },
	{ name: 'koa', script: 'apps/koa.cjs' },
	{ name: 'hapi', script: 'apps/hapi.cjs', healthPath: '/healthz' },
	{ name: 'hono', script: 'apps/hono.mjs', healthPath: '/healthz' },
	{ name: 'nest', script: 'apps/nest.cjs', healthPath: '/healthz' },
	{
		name: 'next',
		script: 'next/node_modules/next/dist/bin/next',
		cwd: 'next',
		args: ['start'],
		env: { NEXT_TELEMETRY_DISABLED: '1', NODE_ENV: 'production' },
		healthPath: '/api/healthz',
	},
	{ name: 'socket.io', script: 'apps/socket-io.cjs', socketClients: 4 },
	{ name: 'tsx', script: 'apps/server.ts', nodeArgs: ['--import', 'tsx'], healthPath: '/healthz' },
	{
		name: 'traced',
		script: 'apps/traced.cjs',
		env: { NODE_OPTIONS: '--require ./apps/tracing.cjs' },
		healthPath: '/healthz',
	},
];
