import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import type { Config, HttpWorkerConfig, ParsedConfiguration } from './schema.js';

/** The host name up to its first dot, in small letters: the default of `node.name`. */
export function defaultNodeName(): string {
	return (hostname().split('.')[0] ?? '').toLowerCase();
}

/**
 * Fills in the defaults that depend on other keys or on the host and makes every path absolute: relative ones are of the
 * configuration file's folder, an app's script (and an interpreter with a slash) of its cwd.
 */
export function resolveConfiguration(parsed: ParsedConfiguration, folder: string): Config {
	const absolute = (path: string) => resolve(folder, path);
	const runtimeDir = absolute(parsed.runtime_dir);
	const { socket, http } = parsed.operations_api;
	return {
		...parsed,
		node: { ...parsed.node, name: parsed.node.name ?? defaultNodeName() },
		state_dir: absolute(parsed.state_dir),
		worker_dir: absolute(parsed.worker_dir),
		runtime_dir: runtimeDir,
		operations_api: {
			...parsed.operations_api,
			socket: { ...socket, path: socket.path === undefined ? join(runtimeDir, 'admin.sock') : absolute(socket.path) },
			...(http?.tls && { http: { ...http, tls: { cert: absolute(http.tls.cert), key: absolute(http.tls.key) } } }),
		},
		http_workers: parsed.http_workers.map((app) => resolveApp(app, folder)),
		...(parsed.cluster && { cluster: resolveCluster(parsed.cluster, absolute) }),
		rollout: {
			...parsed.rollout,
			notify: parsed.rollout.notify.map((one) => ({ ...one, secret_file: absolute(one.secret_file) })),
		},
	};
}

function resolveApp(app: ParsedConfiguration['http_workers'][number], folder: string): HttpWorkerConfig {
	const cwd = resolve(folder, app.cwd ?? '.');
	return {
		...app,
		cwd,
		script: resolve(cwd, app.script),
		interpreter: app.interpreter.includes('/') ? resolve(cwd, app.interpreter) : app.interpreter,
		...(app.env_file !== undefined && { env_file: resolve(folder, app.env_file) }),
	};
}

function resolveCluster(
	cluster: NonNullable<ParsedConfiguration['cluster']>,
	absolute: (path: string) => string,
): NonNullable<Config['cluster']> {
	const { tls, secret_file } = cluster;
	return {
		...cluster,
		...(tls && { tls: { ca: absolute(tls.ca), cert: absolute(tls.cert), key: absolute(tls.key) } }),
		...(secret_file !== undefined && { secret_file: absolute(secret_file) }),
	};
}
